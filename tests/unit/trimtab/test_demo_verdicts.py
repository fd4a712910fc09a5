"""The demo judges itself: a promise that was not kept must be named, and must change the exit code."""

import json
from dataclasses import replace

import pytest
from rich.console import Console

from contracts.vocabulary import Region
from trimtab.cli.fault_commands import tell_verdict
from trimtab.demo.checks import Promise, Seen, broken
from trimtab.demo.receipts import count_executions
from trimtab.demo.report import ActionLine, DemoReport, ScenarioReport, as_json, as_table
from trimtab.demo.sizing import RPS_MAX, Measured, size
from trimtab.demo.timeline import CALM_S, well_since
from trimtab.load.records import Fate, Record, Tally

REQUESTS = Tally(sent=100, spoken=100, late=3, refused=0, failed=0)
RESTARTED = ActionLine(id="a1", kind="restart", subject="eu-west-a-0", verdict="improved", executions=1)
WELL = Seen(actions=(RESTARTED,), detected=True, mitigate_s=1.2, restore_s=2.0, requests=REQUESTS)
STRICT = Promise(actions=("restart",), improved=("restart",), mitigate_s_max=3.0, nothing_refused=True)


def test_what_kept_every_promise_has_no_problems() -> None:
    assert broken(STRICT, WELL) == ()


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        (replace(WELL, actions=(replace(RESTARTED, verdict="inconclusive"),)), "no restart that was verified to help"),
        (replace(WELL, detected=False), "never detected"),
        (replace(WELL, mitigate_s=None), "not mitigated"),
        (replace(WELL, mitigate_s=3.4), "mitigated after 3.4 s, promised 3 s"),
        (replace(WELL, restore_s=None), "not restored"),
        (replace(WELL, actions=(replace(RESTARTED, executions=2),)), "restart eu-west-a-0 was executed 2 times"),
        (replace(WELL, requests=replace(REQUESTS, failed=1)), "1 requests lost"),
        (replace(WELL, requests=replace(REQUESTS, refused=2)), "2 requests refused"),
        (replace(WELL, requests=replace(REQUESTS, sent=0)), "no request was sent, so nothing was proved"),
    ],
)
def test_every_broken_promise_is_named(seen: Seen, problem: str) -> None:
    assert broken(STRICT, seen) == (problem,)


@pytest.mark.parametrize("verdict", ["", "failed", "worse"])
def test_an_action_that_was_not_carried_out_does_not_count(verdict: str) -> None:
    seen = replace(WELL, actions=(replace(RESTARTED, verdict=verdict),))
    assert broken(Promise(actions=("restart",)), seen) == ("no finished restart",)


def test_refusals_are_fine_where_admission_control_is_the_point() -> None:
    assert broken(replace(STRICT, nothing_refused=False), replace(WELL, requests=replace(REQUESTS, refused=9))) == ()


def scenario(*problems: str) -> ScenarioReport:
    return ScenarioReport(
        name="freeze",
        fault="a replica frozen",
        detected_by="agent",
        evidence=("3 probes missed",),
        actions=(RESTARTED,),
        detect_s=0.8,
        mitigate_s=1.2,
        restore_s=None,
        requests=REQUESTS,
        problems=problems,
    )


def report(*scenarios: ScenarioReport) -> DemoReport:
    return DemoReport(started_at="2026-01-01T00:00:00Z", duration_s=240.0, machine={"cores": 2}, scenarios=scenarios)


def test_one_broken_scenario_breaks_the_whole_demo() -> None:
    assert report(scenario(), scenario()).problems == ()
    assert report(scenario(), scenario("2 requests lost")).problems == ("freeze: 2 requests lost",)


@pytest.mark.parametrize(("problems", "code"), [((), 0), (("never detected",), 1)])
def test_the_exit_code_is_the_verdict(problems: tuple[str, ...], code: int) -> None:
    console = Console(width=200)
    with console.capture() as captured:
        assert tell_verdict(report(scenario(), scenario(*problems)), console) == code
    assert ("freeze: never detected" in captured.get()) is bool(problems)


def test_executions_are_counted_in_the_agents_own_journals() -> None:
    def line(key: str, status: str, executions: int = 1) -> str:
        receipt = {"key": key, "epoch": 1, "status": status, "executions": executions}
        return json.dumps({"kind": "receipt", "data": receipt})

    lines = [
        line("once", "running"),
        line("once", "done"),
        line("twice", "running"),
        line("twice", "done"),
        line("twice", "running"),
        line("refused", "refused", executions=0),
        '{"kind": "epoch", "data": 3}',
        '{"kind": "receipt", "da',
    ]
    counts = count_executions(lines)
    assert (counts["once"], counts["twice"], counts["refused"]) == (1, 2, 0)


def test_the_json_says_the_same_as_the_table() -> None:
    both = report(scenario(), scenario("2 requests lost"))
    body = json.loads(as_json(both))
    assert body["healed"] is False
    assert [s["verdict"] for s in body["scenarios"]] == ["healed", "2 requests lost"]
    console = Console(width=200, record=True, file=None)
    with console.capture() as captured:
        console.print(as_table(both))
    for word in ("a replica frozen", "3 probes missed", "0.8 s", "–", "healed", "2 requests lost"):
        assert word in captured.get()


@pytest.mark.parametrize(("p95_s", "full_rps"), [(0.9, 1.5), (0.25, 9.0), (0.05, 60.0), (0.02, 800.0)])
def test_loads_fit_the_machine_whatever_it_is(p95_s: float, full_rps: float) -> None:
    sizing = size(Measured(p50_s=p95_s / 1.3, p95_s=p95_s, full_rps=full_rps))
    assert sizing.threshold_s >= 2.5 * p95_s - 0.001
    assert sizing.base_rps > 0
    assert sizing.base_rps + sizing.surge_rps <= RPS_MAX + 1
    if sizing.base_rps + sizing.surge_rps < RPS_MAX - 1:
        assert sizing.base_rps + sizing.surge_rps > 1.3 * full_rps, (
            "a surge that full quality could carry proves nothing"
        )


def spoken(sent_s: float, latency_s: float = 0.1) -> Record:
    return Record(Region("eu-west"), "base", sent_s, latency_s, Fate.SPOKEN, 200)


def well(records: list[Record], until_s: float = 100.0) -> float | None:
    return well_since(records, from_s=10.0, until_s=until_s, threshold_s=0.5, objective=0.95)


def test_well_from_the_start_when_nothing_was_bad() -> None:
    assert well([spoken(10 + i / 4) for i in range(40)]) == 10.0


def test_well_after_the_last_bad_request() -> None:
    records = [spoken(10 + i / 4, latency_s=2.0 if i < 20 else 0.1) for i in range(60)]
    assert well(records) == pytest.approx(14.75)


def test_not_well_when_the_calm_is_too_short_to_count() -> None:
    records = [spoken(10 + i / 4, latency_s=2.0 if i < 20 else 0.1) for i in range(60)]
    assert well(records, until_s=14.75 + CALM_S - 0.1) is None


def test_silence_is_not_health() -> None:
    assert well([]) is None
