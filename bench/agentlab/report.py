"""The tables, and the targets that the agent has to hold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.agentlab.faults import Case
from bench.agentlab.processes import Memory
from bench.agentlab.scraping import Scrape, percentile

CPU_MS_PER_SCRAPE_MAX = 2.0
TARGET_GPUS = 8
"""Cost and memory are promised for so many; other sizes are shown."""
RSS_MB_MAX = 70.0
P99_MS_MAX = 250.0
MB = 1e6


@dataclass(frozen=True, slots=True)
class Cost:
    """One exporter at one number of GPUs."""

    exporter: str
    gpus: int
    page: Scrape
    cpu_s_per_scrape: float
    background_ratio: float
    """CPU seconds per second without scrapes."""
    took_s: tuple[float, ...]
    memory: Memory


@dataclass(frozen=True, slots=True)
class Seen:
    """What one exporter did in one fault."""

    p99_s: float
    unanswered: int
    scrapes: int
    healthy: int
    """GPUs that the fault does not touch."""
    fresh: int
    """Of those, how many never showed anything but fresh values."""
    broken: str
    """The worst that was said of the others."""
    told_s: float | None
    back_s: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """One fault, both exporters."""

    case: Case
    ours: Seen
    theirs: Seen | None
    """None where it has nothing that the fault could strike, or ended."""


def cost_table(costs: Sequence[Cost]) -> str:
    """Markdown."""
    rows = [
        "| exporter | GPUs | series / kB (gzip) | CPU per scrape | p50 / p99 | background CPU | RSS / PSS | processes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        p50_ms, p99_ms = (percentile(cost.took_s, share) * 1e3 for share in (0.5, 0.99))
        rows.append(
            f"| {cost.exporter} | {cost.gpus} | {cost.page.series} / {len(cost.page.text) / 1e3:.0f} "
            f"({cost.page.wire_bytes / 1e3:.1f}) | {cost.cpu_s_per_scrape * 1e3:.2f} ms | {p50_ms:.1f} / {p99_ms:.1f} ms "
            f"| {cost.background_ratio * 100:.1f} % | {cost.memory.rss_bytes / MB:.1f} / {cost.memory.pss_bytes / MB:.1f} MB "
            f"| {cost.memory.processes} |"
        )
    for ours, theirs in zip(costs[::2], costs[1::2], strict=True):
        ratio = theirs.cpu_s_per_scrape / ours.cpu_s_per_scrape if ours.cpu_s_per_scrape > 0 else math.inf
        per_series = ratio * ours.page.series / theirs.page.series
        rows.append("")
        rows.append(
            f"At {ours.gpus} GPUs a scrape of nvitop-exporter takes {ratio:.1f} × the CPU time of the agent's"
            f" ({per_series:.1f} × per series), and {theirs.background_ratio / ours.background_ratio:.2f} × in the background."
        )
    return "\n".join(rows)


def fault_table(results: Sequence[Result]) -> str:
    """Markdown: a row per fault, ours and theirs."""
    columns = ("p99", "unanswered", "healthy GPUs always fresh", "broken GPUs show")
    head = ["fault", *(f"agent: {column}" for column in columns), "told after", "all fresh again after"]
    head += [f"nvitop-exporter: {column}" for column in columns]
    rows = [_row(head), _row(["---"] * len(head))]
    for result in results:
        ours, theirs = result.ours, result.theirs
        row = [result.case.name, *_answers(ours), _seconds(ours.told_s), _seconds(ours.back_s)]
        if theirs is not None:
            row += _answers(theirs)
        else:
            row += ["ended" if result.case.for_nvitop else "has no worker", "–", "–", "–"]
        rows.append(_row(row))
    return "\n".join(rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _answers(seen: Seen) -> list[str]:
    healthy = f"{seen.fresh} of {seen.healthy}" if seen.healthy else "–"
    return [f"{seen.p99_s * 1e3:.0f} ms", f"{seen.unanswered} of {seen.scrapes}", healthy, seen.broken]


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def missed_targets(costs: Sequence[Cost], results: Sequence[Result]) -> list[str]:
    """One sentence each."""
    missed = []
    for cost in (cost for cost in costs if cost.exporter == "agent" and cost.gpus == TARGET_GPUS):
        if cost.cpu_s_per_scrape * 1e3 > CPU_MS_PER_SCRAPE_MAX:
            missed.append(
                f"CPU per scrape {cost.cpu_s_per_scrape * 1e3:.2f} ms, at most {CPU_MS_PER_SCRAPE_MAX:g} wanted"
            )
        if cost.memory.rss_bytes / MB > RSS_MB_MAX:
            missed.append(f"{cost.gpus} GPUs: RSS {cost.memory.rss_bytes / MB:.1f} MB, at most {RSS_MB_MAX:g} wanted")
    for result in results:
        name, ours = result.case.name, result.ours
        if ours.p99_s * 1e3 > P99_MS_MAX or ours.unanswered:
            missed.append(f"{name}: p99 {ours.p99_s * 1e3:.0f} ms, {ours.unanswered} scrapes unanswered")
        if ours.told_s is None:
            missed.append(f"{name}: the page never told")
        if ours.fresh < ours.healthy:
            missed.append(f"{name}: of {ours.healthy} healthy GPUs only {ours.fresh} were always fresh")
    return missed
