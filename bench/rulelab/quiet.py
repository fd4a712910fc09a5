"""False pages: thirty days of Poisson traffic at exactly the objective, from one request in 100 seconds to one a second.

Nothing is wrong in these months, so every page is a false one. The more scarce the traffic, the more a single slow request
weighs in a ratio; ours wants a significant excess and at least ten slow requests. What the traffic is at, the objective, is the
worst that is still fine.
"""

import tempfile
from pathlib import Path

from bench.rulelab.engines import ENGINES, OURS
from bench.rulelab.replay import Span, firing, record
from bench.rulelab.report import Section, table
from bench.rulelab.server import Server
from bench.rulelab.traffic import histogram, histogram_slo, poisson

DAYS = 30
LENGTH_S = DAYS * 86_400
OBJECTIVES = (0.95, 0.999)
RATES_PER_S = (0.01, 0.1, 1.0)
SEED = 7
FALSE_PAGES_MAX = 0
"""Of ours, in all these months together."""


def measure() -> Section:
    """Pages and the hours they lasted, by objective and rate."""
    streams = [(objective, rate) for objective in OBJECTIVES for rate in RATES_PER_S]
    asked = [(engine, objective, rate) for engine in ENGINES for objective, rate in streams]
    whole = Span(0, LENGTH_S)
    with tempfile.TemporaryDirectory(prefix="rulelab-") as folder:
        server = Server(Path(folder))
        for number, (objective, rate) in enumerate(streams):
            flow = poisson(LENGTH_S, rate, 1 - objective, SEED + number)
            server.write(histogram(_scene(objective, rate), "a", flow))
        slos = [histogram_slo(_scene(objective, rate), objective) for _, objective, rate in asked]
        wanted = [
            (engine.rules(slo), [alert.expr for alert in engine.pages(slo)])
            for (engine, _, _), slo in zip(asked, slos, strict=True)
        ]
        record(server, wanted, whole, whole)
        with server.open():
            pages = {each: firing(server, each[0], slo, whole) for each, slo in zip(asked, slos, strict=True)}
    rows = [
        (
            engine.name,
            f"{rate:g}",
            *(_shown(pages[engine, objective, rate]) for objective in OBJECTIVES),
        )
        for engine in ENGINES
        for rate in RATES_PER_S
    ]
    ours = sum(len(spans) for (engine, _, _), spans in pages.items() if engine is OURS)
    missed = (f"quiet: {ours} false pages of {OURS.name}",) if ours > FALSE_PAGES_MAX else ()
    head = ("engine", "requests/s", *(f"at exactly {100 * objective:g} %" for objective in OBJECTIVES))
    return Section(f"False pages in {DAYS} days at exactly the objective", table(head, rows), missed)


def _shown(spans: list[Span]) -> str:
    lasted_h = sum(span.end_s - span.start_s for span in spans) / 3_600
    return f"{len(spans)} ({lasted_h:.0f} h)" if spans else "0"


def _scene(objective: float, rate: float) -> str:
    return f"quiet-{objective * 1000:.0f}-{rate:g}"
