"""Objectives as operators edit them: the values that are stored, every refusal by its reason, and the store as a protocol.

Unfenced, as the other stores are: any controller may serve an edit, also a standby.
"""

from dataclasses import dataclass
from typing import Protocol

from contracts.vocabulary import SloId
from controller.stores import Change
from slo_rules.model import Slo


@dataclass(frozen=True, slots=True)
class StoredSlo:
    """An objective with the revision of the whole set at which it last changed."""

    slo: Slo
    revision: int


@dataclass(frozen=True, slots=True)
class SloSet:
    """All objectives; `revision` grows by one with every change, deletions included."""

    slos: tuple[StoredSlo, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class SlosApplied:
    """Several objectives as they are stored now; those that were there already, unchanged, keep their revision."""

    slos: tuple[StoredSlo, ...]
    changed: tuple[SloId, ...]


@dataclass(frozen=True, slots=True)
class SloExists:
    """Creating would overwrite one that is there."""

    revision: int


@dataclass(frozen=True, slots=True)
class SloMissing:
    """There is none of that id."""


@dataclass(frozen=True, slots=True)
class SloStale:
    """It has changed since the caller read it."""

    revision: int


@dataclass(frozen=True, slots=True)
class SloLimit:
    """The set is full: every objective costs rules in Prometheus, and exact ones also counters at every replica."""

    slos_max: int
    of_kind: str = ""
    """The kind of indicator of which there are that many; empty: of all kinds together."""


@dataclass(frozen=True, slots=True)
class SloUnfit:
    """It names objectives that are not there, or leads back to itself."""

    field: str
    problem: str
    fix: str


@dataclass(frozen=True, slots=True)
class SloNeeded:
    """Others name it: it cannot go before they do."""

    by: tuple[SloId, ...]


class SloStore(Protocol):
    """Objectives as operators edit them. What is stored always holds together: whatever one names is there."""

    def slos(self) -> SloSet:
        """All of them, by id."""
        ...

    def create_slo(self, slo: Slo, change: Change) -> StoredSlo | SloExists | SloLimit | SloUnfit:
        """Add a new one."""
        ...

    def replace_slo(
        self, slo: Slo, expected: int | None, change: Change
    ) -> StoredSlo | SloMissing | SloStale | SloLimit | SloUnfit:
        """Overwrite one; `expected` is the revision the caller saw, None to overwrite whatever is there."""
        ...

    def apply_slos(self, slos: tuple[Slo, ...], change: Change) -> SlosApplied | SloLimit | SloUnfit:
        """Create or replace all of them, or none; whatever else is there stays."""
        ...

    def delete_slo(
        self, slo: SloId, expected: int | None, change: Change
    ) -> StoredSlo | SloMissing | SloStale | SloNeeded:
        """Remove one and return what was removed."""
        ...
