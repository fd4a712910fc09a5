"""A thousand SLOs: the time to compile them, and what they cost a running Prometheus.

Replicas report live counters of all of them. Some SLOs also have thirty days of recorded history; what those cost stands for
what all would cost after a month. Groups are spread over their interval by Prometheus, so a share of a core says how near a
server is to falling behind.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from bench.rulelab.engines import REGION
from bench.rulelab.live import replica
from bench.rulelab.report import Section, table
from bench.rulelab.server import EPOCH_S, Server, program
from bench.rulelab.traffic import Counter
from contracts.metric_names import (
    JOB_REPLICAS,
    LABEL_REGION,
    LABEL_SLO,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_BAD_INC4M,
    RULE_EVENTS_TOTAL_INC1M,
    RULE_EVENTS_TOTAL_INC4M,
    RULE_OBSERVED_MINUTES_INC4M,
    SLO_EVENTS_TOTAL,
)
from contracts.vocabulary import SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rules.recorded import EVENTS_INTERVAL_S, SPAN_S

SLOS = 1_000
WITH_HISTORY = 40
REPLICAS = 4
HISTORY_S = 30 * 86_400
HISTORY_ENDS_BEFORE_S = 3_600
"""Blocks must not reach into what the server itself has written."""
SCRAPE_S = 15
WATCH_S = 150
"""Every minute's group twice, and more than half of the budget groups."""
COMPILE_S_MAX = 30
NEVER = "0001-01-01"


@dataclass(frozen=True, slots=True)
class Group:
    """One evaluated rule group of the server."""

    slo: int
    interval_s: float
    seconds: float
    rules: int


def measure() -> Section:
    """Compile, load, watch."""
    slos = tuple(
        Slo(id=SloId(f"scale-{number:04d}"), objective=0.95, indicator=ExactCounters(0.2)) for number in range(SLOS)
    )
    began = time.perf_counter()
    text = render_rules(compile_slos(slos, (REGION,)))
    compiled_s = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="rulelab-") as name:
        folder = Path(name)
        (folder / "rules.yml").write_text(text)
        server = Server(folder)
        server.write(_history(slos), start_s=int(time.time()) - HISTORY_ENDS_BEFORE_S - HISTORY_S - EPOCH_S)
        with (
            replica(lambda scrape: _page(slos, scrape)) as address,
            program(folder, server.data, _config(address)) as url,
        ):
            time.sleep(WATCH_S)
            groups, sick = _groups(url)
            metrics = _metrics(url)
    return _section(compiled_s, len(text), groups, sick, metrics)


def _section(compiled_s: float, size: int, groups: list[Group], sick: int, metrics: dict[str, float]) -> Section:
    young, old = (
        [group for group in groups if (group.slo < WITH_HISTORY) is with_history] for with_history in (False, True)
    )
    cores = _cores(old)
    missed_turns = metrics.get("prometheus_rule_group_iterations_missed_total", 0.0)
    memory_mb = metrics["process_resident_memory_bytes"] / 1e6
    rows = (
        (f"compile and render {SLOS:,} SLOs", f"{compiled_s:.1f} s, {size / 1e6:.1f} MB"),
        ("evaluate all of them, first minutes of their life", f"{_cores(young):.2f} of a core"),
        ("evaluate all of them with 30 days of history", f"{cores:.2f} of a core"),
        ("slowest group", f"{1000 * max(group.seconds for group in groups):.0f} ms"),
        ("rules that fail, turns missed", f"{sick}, {missed_turns:.0f}"),
        (
            f"resident memory of Prometheus ({metrics['prometheus_tsdb_head_series']:,.0f} series)",
            f"{memory_mb:,.0f} MB",
        ),
    )
    missed = []
    if compiled_s > COMPILE_S_MAX:
        missed.append(f"scale: {compiled_s:.0f} s to compile {SLOS} SLOs")
    if sick or missed_turns or cores > 1:
        missed.append(f"scale: {sick} rules fail, {missed_turns:.0f} turns missed, {cores:.2f} cores")
    return Section(f"{SLOS:,} SLOs in one Prometheus", table(("what", "figure"), rows), tuple(missed))


def _cores(groups: list[Group]) -> float:
    """Seconds of evaluation per second, for `SLOS` SLOs that cost what these do."""
    share = 0.0
    for interval_s in {group.interval_s for group in groups}:
        mine = [group.seconds for group in groups if group.interval_s == interval_s]
        share += SLOS * sum(mine) / len(mine) / interval_s
    return share


def _groups(url: str) -> tuple[list[Group], int]:
    found = httpx.get(f"{url}/api/v1/rules", timeout=120).json()["data"]["groups"]
    ours = [group for group in found if group["name"].startswith("slo-scale-")]
    return [
        Group(int(group["name"].split("-")[2]), group["interval"], group["evaluationTime"], len(group["rules"]))
        for group in ours
        if not group["lastEvaluation"].startswith(NEVER)
    ], sum(rule["health"] == "err" for group in found for rule in group["rules"])


def _metrics(url: str) -> dict[str, float]:
    """Prometheus' own metrics, those of the same name added up."""
    found: dict[str, float] = {}
    for line in httpx.get(f"{url}/metrics", timeout=30).text.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            name = series.partition("{")[0]
            found[name] = found.get(name, 0.0) + float(value)
    return found


def _history(slos: tuple[Slo, ...]) -> Iterator[Counter]:
    recorded = (
        (RULE_EVENTS_TOTAL_INC1M, 600, EVENTS_INTERVAL_S),
        (RULE_EVENTS_BAD_INC1M, 6, EVENTS_INTERVAL_S),
        (RULE_EVENTS_TOTAL_INC4M, 2_400, SPAN_S),
        (RULE_EVENTS_BAD_INC4M, 24, SPAN_S),
        (RULE_OBSERVED_MINUTES_INC4M, 4, SPAN_S),
    )
    for slo in slos[:WITH_HISTORY]:
        labels = ((LABEL_REGION, REGION), (LABEL_SLO, str(slo.id)))
        for name, count, every_s in recorded:
            yield Counter(name, labels, np.full(HISTORY_S // every_s, count), every_s)


def _page(slos: tuple[Slo, ...], scrape: int) -> str:
    return "".join(
        f'{SLO_EVENTS_TOTAL}{{slo="{slo.id}",outcome="good"}} {30 * scrape}\n'
        f'{SLO_EVENTS_TOTAL}{{slo="{slo.id}",outcome="bad"}} {scrape // 4}\n'
        for slo in slos
    )


def _config(address: str) -> dict[str, object]:
    targets = [
        {"targets": [address], "labels": {"region": REGION, "replica": f"replica-{number}"}}
        for number in range(REPLICAS)
    ]
    return {
        "global": {"scrape_interval": f"{SCRAPE_S}s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": JOB_REPLICAS, "static_configs": targets}],
    }
