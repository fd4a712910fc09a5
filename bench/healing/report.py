"""What was measured, as a table, and what ours promised."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.healing.load import Counted

HEALED_S_MAX = 3.0
LOST_MAX = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One fault of one round."""

    healer: str
    fault: str
    seconds: float | None
    """None: not healed within `patience_s`."""
    patience_s: float
    gateway: Counted = field(default_factory=Counted)
    direct: Counted = field(default_factory=Counted)

    def with_counts(self, gateway: Counted, direct: Counted) -> "Row":
        return replace(self, gateway=gateway, direct=direct)

    def line(self) -> str:
        return (
            f"{self.fault}: {_shown(self.seconds, self.patience_s)} s, "
            f"gateway {self.gateway.failed} of {self.gateway.sent} failed {dict(self.gateway.why)} "
            f"(slowest {self.gateway.slowest_s:.2f} s), direct {self.direct.failed} of {self.direct.sent}"
        )


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line for each healer and fault."""
    lines = [
        "| healer | fault | serving again, s: median / worst | lost through the gateway | lost directly |",
        "|---|---|---|---|---|",
    ]
    for healer, fault in dict.fromkeys((row.healer, row.fault) for row in rows):
        mine = [row for row in rows if (row.healer, row.fault) == (healer, fault)]
        lines.append(f"| {healer} | {fault} | {_times(mine)} | {_lost(mine, 'gateway')} | {_lost(mine, 'direct')} |")
    return "\n".join(lines)


def missed_targets(rows: Sequence[Row]) -> list[str]:
    """A sentence for each promise that was not kept."""
    missed = []
    for row in rows:
        if row.seconds is None or row.seconds > HEALED_S_MAX:
            missed.append(
                f"missed: {row.fault} took {_shown(row.seconds, row.patience_s)} s, target {HEALED_S_MAX:g} s"
            )
        if row.gateway.failed > LOST_MAX:
            missed.append(f"missed: {row.fault} lost {row.gateway.failed} requests through the gateway, target 0")
    return missed


def _times(rows: Sequence[Row]) -> str:
    healed = [row.seconds for row in rows if row.seconds is not None]
    if len(healed) < len(rows):
        return f"not within {rows[0].patience_s:g} ({len(rows) - len(healed)} of {len(rows)})"
    return f"{statistics.median(healed):.2f} / {max(healed):.2f}"


def _lost(rows: Sequence[Row], way: str) -> str:
    counted = [row.gateway if way == "gateway" else row.direct for row in rows]
    return f"{sum(each.failed for each in counted)} of {sum(each.sent for each in counted)}"


def _shown(seconds: float | None, patience_s: float) -> str:
    return f"not within {patience_s:g}" if seconds is None else f"{seconds:.2f}"
