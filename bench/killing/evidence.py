"""What the witness saw against what the controller's journal says."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.killing.host import executed

Receipts = dict[str, dict[str, object] | None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Counted over all orders of one run."""

    orders: int
    open: int
    """Without a final receipt."""
    statuses: dict[str, int]
    refusals: dict[str, int]
    executions: int
    interrupted: int
    """FAILED because the agent died in the middle; the witness tells which of them were begun."""
    interrupted_before_touch: int
    executed_twice: tuple[str, ...]
    done_but_not_executed: tuple[str, ...]
    refused_but_executed: tuple[str, ...]
    executed_but_unknown: tuple[str, ...]
    """Not in the journal: a deposed leader's, or nobody's."""
    stale_refused: int
    """Orders of deposed leaders that were refused for their epoch, and reported so to them."""
    fenced_writes: int

    def broken_promises(self) -> list[str]:
        """In words; empty when all were kept."""
        broken = {
            "executed twice": self.executed_twice,
            "DONE but never executed": self.done_but_not_executed,
            "REFUSED but executed": self.refused_but_executed,
            "executed though no leader's journal knows it": self.executed_but_unknown,
        }
        said = [f"{what}: {len(which)}, e.g. {which[0]}" for what, which in broken.items() if which]
        return said + ([f"{self.open} orders have no final receipt"] if self.open else [])

    def summary(self) -> str:
        """For people."""
        return (
            f"orders: {self.orders} issued, {self.executions} executed, {self.open} without a final receipt\n"
            f"receipts: {_listed(self.statuses)}; refused for: {_listed(self.refusals)}\n"
            f"interrupted: {self.interrupted} by a kill in the middle, "
            f"{self.interrupted_before_touch} of them before anything was touched\n"
            f"executed twice: {len(self.executed_twice)}\n"
            f"of deposed leaders: {len(self.executed_but_unknown)} orders executed, {self.stale_refused} refused; "
            f"{self.fenced_writes} of their writes fenced"
        )


def gather(home: Path) -> Evidence:
    """Read everything that a run left in `home`."""
    receipts = _receipts(home / "controller.db")
    seen = Counter(executed(home / "executed"))
    known = {key.rpartition("-")[2]: receipt for key, receipt in receipts.items()}
    statuses = Counter("open" if receipt is None else str(receipt["status"]) for receipt in known.values())
    interrupted = [
        number
        for number, receipt in known.items()
        if receipt is not None and str(receipt["detail"]).startswith("interrupted")
    ]
    deposed = home / "deposed"
    told = Counter(deposed.read_text(encoding="utf-8").splitlines() if deposed.exists() else ())
    return Evidence(
        orders=len(known),
        open=statuses.pop("open", 0),
        statuses=dict(statuses),
        refusals=dict(Counter(str(receipt["refusal"]) for receipt in known.values() if receipt and receipt["refusal"])),
        executions=seen.total(),
        interrupted=len(interrupted),
        interrupted_before_touch=sum(seen[number] == 0 for number in interrupted),
        executed_twice=tuple(number for number, times in seen.items() if times > 1),
        done_but_not_executed=_having("done", known, lambda number: seen[number] != 1),
        refused_but_executed=_having("refused", known, lambda number: seen[number] != 0),
        executed_but_unknown=tuple(number for number in seen if number not in known),
        stale_refused=told["refused stale_epoch"],
        fenced_writes=told["fenced"],
    )


def _having(status: str, known: Receipts, is_wrong: Callable[[str], bool]) -> tuple[str, ...]:
    return tuple(
        number for number, receipt in known.items() if receipt and receipt["status"] == status and is_wrong(number)
    )


def _receipts(database: Path) -> Receipts:
    """Order key → its final receipt as journaled; None while it is open."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        rows = connection.execute("SELECT key, open, receipt FROM orders").fetchall()
    return {key: None if is_open or receipt is None else json.loads(receipt) for key, is_open, receipt in rows}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing"
