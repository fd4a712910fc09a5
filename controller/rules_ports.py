"""What becomes of compiled rules in Prometheus: the outcomes of a publication, what is seen there, and who publishes.

Every outcome is a value. A refusal is an answer; silence is not, and is never taken for one.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RulesPublished:
    """Prometheus runs exactly this text."""

    digest: str


@dataclass(frozen=True, slots=True)
class RulesRefused:
    """Prometheus refused the file; the former one is in place again."""

    reason: str


@dataclass(frozen=True, slots=True)
class RulesUnknown:
    """No answer: the file is written, whether it is loaded is not known. Publishing again is safe."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnhealthyRule:
    """A rule that Prometheus loaded and cannot evaluate: it records nothing, and an alert of this kind never fires."""

    group: str
    rule: str
    error: str


@dataclass(frozen=True, slots=True)
class RulesSeen:
    """What Prometheus runs of ours."""

    digest: str
    """Of the text as it was published; empty when none of our groups are loaded."""
    revision: int | None
    """Revision of the objectives that the text was made from; None when none are loaded."""
    unhealthy: tuple[UnhealthyRule, ...]


class RulePublisher(Protocol):
    """Makes compiled rules the ones that Prometheus evaluates."""

    async def publish(self, rules: str, revision: int) -> RulesPublished | RulesRefused | RulesUnknown:
        """Idempotent; bounded by its own timeout. `revision` of the objectives travels with the rules."""
        ...

    async def look(self) -> RulesSeen | RulesUnknown:
        """What Prometheus runs now; changes nothing."""
        ...


class RulesStanding(StrEnum):
    """Whether Prometheus runs what is wanted."""

    IN_STEP = "in_step"
    BEHIND = "behind"
    """Not published yet, or Prometheus does not show it yet: tried again."""
    REFUSED = "refused"
    """Prometheus refused it and runs the former rules; tried again when the objectives change."""
    UNKNOWN = "unknown"
    """No answer: tried again."""
    STANDBY = "standby"
    """The leader takes care of it."""
    NOT_OURS = "not_ours"
    """No rules file is configured."""


@dataclass(frozen=True, slots=True)
class RulesState:
    """What became of the newest set of objectives in Prometheus, as far as this controller knows."""

    state: RulesStanding
    revision_loaded: int | None
    """None: not known."""
    why_not: str
    """Empty when in step."""
    unhealthy: tuple[UnhealthyRule, ...] = ()
