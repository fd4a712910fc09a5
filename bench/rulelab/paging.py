"""Minutes from the start of trouble to a page, for every objective and how bad it is.

Sixteen healthy days, long enough for the longest window of a page, then a constant share of slow requests, all in a real
Prometheus. "Page" is what each engine itself marks as one that wakes a person. Ours promises a time for each cell, derived
from its tiers; cells of the usual objective are also measured with promtool, whose rule manager fires alerts by itself.
"""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.rulelab.engines import ENGINES, OURS, Engine
from bench.rulelab.promtool import Question, ask, first_s
from bench.rulelab.replay import Span, firing, record
from bench.rulelab.report import Section, minutes, table
from bench.rulelab.server import Server
from bench.rulelab.traffic import Flow, histogram, histogram_slo, steady
from slo_rules.model import Slo
from slo_rules.tiers import LAG_S, Severity, Tier, derive_tiers

OBJECTIVES = (0.90, 0.95, 0.99, 0.999, 0.9999)
SLOW = (1.0, 0.8, 0.5, 0.3, 0.1)
RATE_PER_S = 10.0
HEALTHY_S = 16 * 86_400
TROUBLE_S = 8 * 3_600
"""Longer than the longest page window of both peers: what has not fired then never will."""
CHECKED = 0.95
CHECKED_SLOW = (1.0, 0.8)
CHECKED_HEALTHY_S = 7 * 3_600
CHECKED_TROUBLE_S = 2 * 3_600
AGREES_WITHIN_S = 120
"""Two evaluations: the two ways of measuring evaluate at different moments of a minute."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One engine, objective and share of slow requests."""

    engine: Engine
    slo: Slo
    slow: float
    page_s: float | None
    """None: no page within `TROUBLE_S`."""


def promised_s(slo: Slo, slow: float) -> float | None:
    """When ours has to have paged: the soonest of its page tiers; None where no page is due.

    A slow share f crosses θ after θ·long/f, plus the margin of the score test, plus the lag of scrape and evaluation.
    """
    due = [_due_s(tier, slow) for tier in derive_tiers(slo) if tier.severity is Severity.PAGE and slow > tier.theta]
    within = [each for each in due if each <= TROUBLE_S]
    if slow == 1.0:
        return slo.page_within_s
    return min(within, default=None)


def _due_s(tier: Tier, slow: float) -> float:
    theta, requests = float(tier.theta), RATE_PER_S * tier.long_s
    wanted = max(theta * requests + float(tier.z) * math.sqrt(theta * (1 - theta) * requests), float(tier.bad_min))
    in_long_s = wanted / (RATE_PER_S * slow)
    return LAG_S + max(in_long_s, theta * tier.short_s / slow) if in_long_s <= tier.long_s else math.inf


def measure() -> Section:
    """The table of all cells."""
    span = Span(HEALTHY_S - 600, HEALTHY_S + TROUBLE_S)
    asked = [
        (engine, histogram_slo(_scene(slow), objective), slow)
        for engine in ENGINES
        for objective in OBJECTIVES
        for slow in SLOW
    ]
    with tempfile.TemporaryDirectory(prefix="rulelab-") as folder:
        server = Server(Path(folder))
        for slow in SLOW:
            server.write(histogram(_scene(slow), "a", _flow(HEALTHY_S, slow)))
        wanted = [(engine.rules(slo), [alert.expr for alert in engine.pages(slo)]) for engine, slo, _ in asked]
        record(server, wanted, Span(0, span.end_s), span)
        with server.open():
            cells = [Cell(*each, _page_s(server, each[0], each[1], span)) for each in asked]
    return _section(cells, _checks(cells))


def _page_s(server: Server, engine: Engine, slo: Slo, span: Span) -> float | None:
    """Seconds from the start of the trouble; `RuntimeError` if the healthy days already page."""
    found = firing(server, engine, slo, span)
    if found and found[0].start_s < HEALTHY_S:
        msg = f"{engine.name} pages about {slo.id} without trouble"
        raise RuntimeError(msg)
    return found[0].start_s - HEALTHY_S if found else None


def _checks(cells: list[Cell]) -> list[str]:
    """Where promtool's own rule manager disagrees."""
    mine = [cell for cell in cells if cell.slo.objective == CHECKED and cell.slow in CHECKED_SLOW]
    end_s = CHECKED_HEALTHY_S + CHECKED_TROUBLE_S
    fired = ask(
        [
            Question(
                cell.engine.rules(cell.slo),
                cell.engine.eval_s,
                tuple(histogram(_scene(cell.slow), "a", _flow(CHECKED_HEALTHY_S, cell.slow))),
                end_s,
                first_s(cell.engine.paging(), end_s, cell.engine.eval_s),
            )
            for cell in mine
        ]
    )
    return [
        f"paging: promtool fires {cell.engine.name} at {cell.slow:.0%} slow after {minutes(_since(at_s))} min, "
        f"the replay after {minutes(cell.page_s)}"
        for cell, at_s in zip(mine, fired, strict=True)
        if not _agree(cell.page_s, _since(at_s))
    ]


def _since(at_s: float | None) -> float | None:
    return None if at_s is None else at_s - CHECKED_HEALTHY_S


def _agree(one: float | None, other: float | None) -> bool:
    return one == other if one is None or other is None else abs(one - other) <= AGREES_WITHIN_S


def _section(cells: list[Cell], disagreements: list[str]) -> Section:
    rows, missed = [], []
    for objective in OBJECTIVES:
        for engine in ENGINES:
            mine = [cell for cell in cells if cell.engine is engine and cell.slo.objective == objective]
            rows.append((f"{100 * objective:g} %", engine.name, *(_shown(cell) for cell in mine)))
    for cell in (cell for cell in cells if cell.engine is OURS):
        promised = promised_s(cell.slo, cell.slow)
        if promised is not None and (cell.page_s is None or cell.page_s > promised):
            missed.append(
                f"paging: {cell.slo.objective} at {cell.slow:.0%} slow pages after {minutes(cell.page_s)} min, "
                f"promised {minutes(promised)}"
            )
    head = ("objective", "engine", *(f"{100 * slow:g} % slow" for slow in SLOW))
    return Section("Minutes to page", table(head, rows), (*missed, *disagreements))


def _shown(cell: Cell) -> str:
    promised = promised_s(cell.slo, cell.slow) if cell.engine is OURS else None
    return minutes(cell.page_s) + (f" (≤ {minutes(promised)})" if promised is not None else "")


def _scene(slow: float) -> str:
    return f"slow-{slow * 100:.0f}"


def _flow(healthy_s: int, slow: float) -> Flow:
    return steady(healthy_s, RATE_PER_S, 0.0).then(steady(TROUBLE_S, RATE_PER_S, slow))
