"""Sloth's rules, Pyrra's and ours on the same series, in a real promtool and a real Prometheus.

    python -m bench.rules [--only budgets,gaps] [--picture docs/pictures/rules-budget.svg]

Budgets under uneven traffic, idle time and missing data, minutes to page, false pages, samples read, and a thousand SLOs.
The peers' rules are generated here from a description of theirs (`bench/rulelab/sloth.py`, `pyrra.py`), from the same `Slo`
values that ours are compiled from. Prints Markdown; the exit code is 1 when a target of ours is missed.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.agentlab.flatness import Curve
from bench.agentlab.machine import load_line, machine_line
from bench.agentlab.svg import picture
from bench.rulelab import budgets, cost, gaps, paging, quiet, relabel, scale
from bench.rulelab.report import Section

TRUTH = "truth"
FIRST_DAY_S = 86_400
"""A budget of hours jumps; the picture begins when a day has been seen."""


def budget_picture(lines: Sequence[budgets.Line]) -> str:
    """A panel per month of traffic: what is truly left, and what each engine says."""
    panels = []
    for scene in dict.fromkeys(line.scene.name for line in lines):
        mine = [line for line in lines if line.scene.name == scene]
        real = budgets.truth(mine[0].scene)
        curves = [_curve(TRUTH, mine[0].times_s, [real[at_s // budgets.SCRAPE_S - 1] for at_s in mine[0].times_s])]
        curves += [_curve(line.engine, line.times_s, line.values) for line in mine if "exact" not in line.engine]
        panels.append((f"error budget left, %: {mine[0].scene.what}", curves))
    return picture(panels, unit="d", truth=TRUTH)


def _curve(name: str, times_s: Sequence[int], values: Sequence[float]) -> Curve:
    points = tuple(
        (at_s / 86_400, 100 * value) for at_s, value in zip(times_s, values, strict=True) if at_s >= FIRST_DAY_S
    )
    return Curve(name, "%", points)


def _budgets(target: Path | None) -> list[Section]:
    lines, section = budgets.measure()
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(budget_picture(lines))
    return [section]


def main() -> int:
    """Measure, print, judge."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", help="parts to run, separated by commas")
    options.add_argument("--picture", type=Path)
    asked = options.parse_args()
    parts: dict[str, Callable[[], list[Section]]] = {
        "budgets": lambda: _budgets(asked.picture),
        "gaps": gaps.measure,
        "relabel": lambda: [relabel.measure()],
        "paging": lambda: [paging.measure()],
        "quiet": lambda: [quiet.measure()],
        "cost": lambda: [cost.measure()],
        "scale": lambda: [scale.measure()],
    }
    chosen = asked.only.split(",") if asked.only else list(parts)
    if unknown := set(chosen) - set(parts):
        options.error(f"no such part: {', '.join(sorted(unknown))}")
    print(f"Machine: {machine_line()}.\n", flush=True)
    missed: list[str] = []
    for name in chosen:
        began = time.monotonic()
        for section in parts[name]():
            print(section, flush=True)
            missed += section.missed
        print(f"<!-- {name}: {time.monotonic() - began:.0f} s, {load_line()} -->\n", flush=True)
    for sentence in missed:
        print(f"MISSED: {sentence}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
