"""Admissions against a real Prometheus with a day of seeded history: each bad objective gets a code of its own."""

import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from chassis.clock import SystemClock
from contracts.metric_names import RULE_EVENTS_BAD_INC1M, RULE_EVENTS_TOTAL_INC1M, RULE_FIRST_SEEN
from controller.admission.cost import OF_SPANS, Spacing, cost_of, groups_of, raw_selectors
from controller.admission.report import Asked, Report
from controller.admission_office import AdmissionOffice
from controller.sources.prometheus_facts import PrometheusFacts
from slo_rules.compiler import compile_slos
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    NativeHistogram,
    Part,
)
from slo_rules.model import Slo
from slo_rules.windows import RollingWindow, Slices
from tests.integration.controller.prometheus_server import Server, prometheus

pytestmark = pytest.mark.prometheus
STEP_S, HISTORY_S = 30, 26 * 3_600
OUTAGE_FROM_S, OUTAGE_UNTIL_S = 6 * 3_600, 6 * 3_600 - 1_800
"""Before now: half an hour in eu-west during which everything was slow and failed."""
PER_STEP = 30
REGIONS = ("eu-west", "us-east")
A, B, C = (
    f'job="svc",instance="{host}:1",region="{region}"'
    for host, region in zip("abc", (*REGIONS, "us-east"), strict=True)
)
DAY = RollingWindow(86_400)
HALF_DAY = RollingWindow(12 * 3_600)
CONFIG = """
global: {scrape_interval: 30s, scrape_timeout: 1s}
scrape_configs:
- {job_name: svc, static_configs: [{targets: ['a:1', 'b:1', 'c:1', 'l:1']}]}
- {job_name: slow, scrape_interval: 1m, scrape_timeout: 1s, static_configs: [{targets: ['s:1']}]}
"""


@dataclass(frozen=True)
class Seed:
    """One series: what it gains per step, normally and during the outage."""

    labels: str
    calm: float
    outage: float
    step_s: int = STEP_S
    is_gauge: bool = False


def buckets(name: str, target: str, edges: dict[str, tuple[float, float]]) -> tuple[str, list[Seed]]:
    return f"{name}_bucket", [Seed(f'{target},le="{edge}"', calm, out) for edge, (calm, out) in edges.items()]


def both(value: float) -> tuple[float, float]:
    return value, value


def seeds() -> list[tuple[str, list[Seed]]]:
    whole = {"0.1": both(20), "0.25": (30, 0), "1.0": both(30), "+Inf": both(30)}
    calm = {"0.1": both(20), "0.25": both(30), "1.0": both(30), "+Inf": both(30)}
    lacking = {edge: gain for edge, gain in calm.items() if edge != "0.25"}
    svc = [
        *buckets("svc_seconds", A, whole)[1],
        *buckets("svc_seconds", B, calm)[1],
        *buckets("svc_seconds", C, lacking)[1],
    ]
    ratio = [
        *(Seed(f'{A},code="200"', 30, 0), Seed(f'{A},code="500"', 0, 30)),
        *(Seed(f'{B},code="200"', 30, 30), Seed(f'{B},code="500"', 0, 0)),
    ]
    tts = [
        Seed(f'job="tts",instance="t:1",replica="eu-west-a-0",region="eu-west",sli="total",le="{edge}"', gain, gain)
        for edge, gain in (("0.2", 29.0), ("0.5", 30.0), ("+Inf", 30.0))
    ]
    recorded = [Seed(f'slo="cost",region="{region}"', 60, 60, step_s=60, is_gauge=True) for region in REGIONS]
    spans = [replace(minutes, step_s=240) for minutes in recorded]
    return [
        ("svc_seconds_bucket", svc),
        buckets("old_seconds", A, {"1": both(30), "+Inf": both(30)}),
        ("req_total", ratio),
        ("slow_total", [Seed('job="slow",instance="s:1",region="eu-west"', 30, 30)]),
        ("lonely_total", [Seed('job="svc",instance="l:1"', 30, 30)]),
        ("heat", [Seed(A, 60, 90, is_gauge=True), Seed(B, 60, 60, is_gauge=True)]),
        ("tts_request_seconds_bucket", tts),
        (RULE_EVENTS_TOTAL_INC1M, recorded),
        (RULE_EVENTS_BAD_INC1M, recorded),
        *((record, spans) for record in OF_SPANS),
        (RULE_FIRST_SEEN, [Seed('slo="cost"', 1, 1, step_s=240, is_gauge=True)]),
    ]


def write_history(path: Path, now_s: int) -> None:
    """In the OpenMetrics format, metric by metric and moment by moment."""
    with path.open("w") as file:
        for name, series in seeds():
            file.write(f"# TYPE {name.removesuffix('_total')} unknown\n")
            for seed in series:
                value = 0.0
                for at_s in range(now_s - HISTORY_S, now_s + 1, seed.step_s):
                    out = now_s - OUTAGE_FROM_S <= at_s < now_s - OUTAGE_UNTIL_S
                    gain = seed.outage if out else seed.calm
                    value = gain if seed.is_gauge else value + gain
                    file.write(f"{name}{{{seed.labels}}} {value:g} {at_s}\n")
        file.write("# EOF\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ports: Iterator[int]) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("prometheus")
    write_history(home / "history.txt", int(time.time()) // 60 * 60)
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", home / "history.txt", home / "data"]
    subprocess.run(command, check=True, capture_output=True)
    with prometheus(home, next(ports), CONFIG, "--storage.tsdb.retention.time=3d") as running:
        deadline = time.monotonic() + 20
        while len(running.get("targets")["data"]["activeTargets"]) < 5:  # discovered a few seconds after the start
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield running


@pytest.fixture
async def office(server: Server) -> AsyncIterator[AdmissionOffice]:
    async with httpx.AsyncClient(trust_env=False) as client:
        facts = PrometheusFacts(url=server.url, client=client)
        yield AdmissionOffice(facts=facts, regions=lambda: REGIONS, clock=SystemClock())


def slo(indicator: object, **fields: object) -> Slo:
    return Slo(**{"id": "new", "objective": 0.95, "indicator": indicator, "window": DAY, **fields})


GOOD = slo(ClassicHistogram('svc_seconds{instance!="c:1"}', 0.25))
RATIO = slo(EventRatio("req_total", bad='req_total{code="500"}'))


async def examine(office: AdmissionOffice, made: Slo, *others: Slo, days: int = 1) -> Report:
    return await office.examine(Asked(made, (made, *others), days))


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


@pytest.mark.parametrize(
    ("made", "code", "words"),
    [
        (slo(EventRatio("no_such_total", bad="req_total")), "metric_absent", "no_such_total"),
        (slo(EventRatio('req_total{code="418"}', bad="req_total")), "no_series", 'code="418"'),
        (slo(ClassicHistogram("svc_seconds", 0.3)), "not_a_bucket", "0.25 or 1"),
        (slo(ClassicHistogram("svc_seconds", 0.25)), "bucket_missing", "c:1"),
        (slo(ClassicHistogram("old_seconds", 1.0)), "le_not_canonical", "le='1'"),
        (slo(NativeHistogram("req_total", 0.3)), "not_native", "native-histograms"),
        (slo(EventRatio("slow_total", bad="slow_total")), "scraped_too_slowly", "every 60 s"),
        (slo(EventRatio("lonely_total", bad="lonely_total")), "no_region_label", "region"),
        (replace(RATIO, window=RollingWindow(30 * 86_400)), "retention_too_short", "keeps 3d"),
        (slo(EventRatio("slow_total", bad="slow_total")), "region_unseen", "us-east"),
        (slo(ExactCounters(0.2)), "estimated", "tts_request_seconds"),
        (slo(ExactCounters(0.3)), "not_counted_yet", "no replica"),
        (replace(RATIO, objective=0.99), "budget_spent", "eu-west"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_each_bad_objective_is_told_apart(office: AdmissionOffice, made: Slo, code: str, words: str) -> None:
    report = await examine(office, made)
    assert code in codes(report)
    assert any(words in f"{finding.problem} {finding.fix}" for finding in report.findings)
    assert all(finding.fix for finding in report.findings)


@pytest.mark.parametrize(
    "made",
    [GOOD, RATIO, slo(GaugeBound("heat", 80.0), slices=Slices())],
    ids=["histogram", "ratio", "gauge"],
)
async def test_a_good_objective_works_and_would_have_paged_once_for_the_outage(
    office: AdmissionOffice, made: Slo
) -> None:
    report = await examine(office, made)
    assert report.works, report.findings
    past = report.past
    assert past is not None
    assert past.pages == 1
    europe, america = past.regions
    (start,) = {firing.starts_unix_s for firing in europe.firings if firing.tier == 1}
    outage_s = time.time() - OUTAGE_FROM_S
    assert 0 < start - outage_s < made.page_within_s
    assert not america.firings
    assert america.budget_left == pytest.approx(1.0)
    spent = (OUTAGE_FROM_S - OUTAGE_UNTIL_S) / 86_400 / made.error_budget
    assert europe.budget_left == pytest.approx(1 - spent, abs=0.05)
    assert europe.coverage > 0.99


async def test_a_composite_is_read_from_what_its_parts_record(office: AdmissionOffice) -> None:
    part, other = replace(RATIO, id="cost"), replace(RATIO, id="other")
    made = slo(Composite((Part("cost"), Part("other"))))
    report = await examine(office, made, part, other)
    assert report.past is not None
    assert report.past.regions[0].bad == pytest.approx(report.past.regions[0].events)


@pytest.mark.parametrize(
    "indicator",
    [
        ClassicHistogram("svc_seconds", 0.25),
        EventRatio("req_total", bad='req_total{code="500"}'),
        EventRatio("req_total", good='req_total{code="200"}'),
    ],
    ids=["histogram", "bad", "good"],
)
async def test_the_predicted_samples_are_those_that_prometheus_counts(
    server: Server, office: AdmissionOffice, indicator: object
) -> None:
    made = slo(indicator, id="cost", window=HALF_DAY)
    report = await examine(office, made, days=0)
    groups = groups_of("cost", compile_slos((made,), REGIONS))
    assert report.cost is not None
    counted = sum(samples_read(server, rule.expr) for group in groups for rule in group.rules)
    assert report.cost.samples_per_evaluation == pytest.approx(counted, rel=0.1)
    assert report.cost.rules == sum(len(group.rules) for group in groups)


async def test_the_predicted_samples_of_raw_series_are_those_that_prometheus_counts(server: Server) -> None:
    """By themselves, so that the long sums over what is recorded do not hide them."""
    made = slo(ClassicHistogram("svc_seconds", 0.25), id="cost")
    whole = compile_slos((made,), REGIONS)
    (group, *_rest) = groups_of("cost", whole)
    counting = replace(group, rules=group.rules[:2])
    series = {each: int(server.value(f"count({each})") or 0) for each in raw_selectors((counting,), whole)}
    spacing = Spacing(series=series, regions=2, scrape_interval_s=STEP_S, left_open=False)
    counted = sum(samples_read(server, rule.expr) for rule in counting.rules)
    assert counted > 20
    assert cost_of((counting,), whole, spacing).samples_per_evaluation == pytest.approx(counted, rel=0.1)


def samples_read(server: Server, expression: str) -> int:
    """At a moment between two scrapes, as most are."""
    at = f"{time.time() // 60 * 60 - 600 + 7:.0f}"
    return server.get("query", query=expression, time=at, stats="all")["data"]["stats"]["samples"][
        "totalQueryableSamples"
    ]


async def test_a_prometheus_that_is_down_is_a_finding(free_port: Callable[[], int]) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        facts = PrometheusFacts(url=f"http://127.0.0.1:{free_port()}", client=client)
        office = AdmissionOffice(facts=facts, regions=lambda: REGIONS, clock=SystemClock())
        report = await examine(office, GOOD)
    assert codes(report) == {"prometheus_silent"}
    assert report.works
    assert report.tiers


async def test_a_prometheus_that_hangs_is_a_finding_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody ever answers
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            facts = PrometheusFacts(url=url, client=client, timeout_s=0.2)
            office = AdmissionOffice(facts=facts, regions=lambda: REGIONS, clock=SystemClock())
            report = await examine(office, GOOD)
    assert codes(report) == {"prometheus_silent"}
