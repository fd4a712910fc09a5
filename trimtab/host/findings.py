"""What a look at the host found: one sentence of evidence each, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters, least first."""

    OK = "ok"
    NOTE = "note"
    """True, and worth knowing; nothing to do."""
    WARNING = "warning"
    """The agent works, but something will hurt."""
    UNKNOWN = "unknown"
    """The question got no answer in time: neither good nor bad."""
    BLOCKS = "blocks"
    """The agent cannot do its work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One of them."""

    subject: str
    """driver, docker, controller, clock …"""
    level: Level
    evidence: str
    """What was seen, with its numbers."""
    fix: str = ""
    """What to run or change; empty when there is nothing to do."""


def ok(subject: str, evidence: str) -> Finding:
    """As it should be."""
    return Finding(subject, Level.OK, evidence)


def note(subject: str, evidence: str) -> Finding:
    """Worth knowing."""
    return Finding(subject, Level.NOTE, evidence)


def warning(subject: str, evidence: str, fix: str) -> Finding:
    """Will hurt."""
    return Finding(subject, Level.WARNING, evidence, fix)


def blocks(subject: str, evidence: str, fix: str) -> Finding:
    """Must be mended first."""
    return Finding(subject, Level.BLOCKS, evidence, fix)


def unknown(subject: str, evidence: str, fix: str = "") -> Finding:
    """No answer."""
    return Finding(subject, Level.UNKNOWN, evidence, fix)


def is_blocked(findings: Sequence[Finding]) -> bool:
    """True when anything stands in the way of the agent's work."""
    return any(finding.level is Level.BLOCKS for finding in findings)
