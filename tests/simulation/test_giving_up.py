"""A fault that no remedy reaches: the loop tries what there is, says that it can do no more, and takes that back in the end."""

import asyncio
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from contracts.metric_names import ALERT_CONTROLLER_GAVE_UP, CONTROLLER_HELPLESS
from controller.core.actions import ActionKind, Verdict
from controller.core.helplessness import HelplessReason
from controller.metrics import ControllerMetrics
from controller.rehearsal.run import BRISK, TWO_REGIONS, Rehearsal, Script
from controller.simulation.faults import Fault, FaultKind
from controller.simulation.world import SLO
from controller.sources.simulated import SimulatedReports
from slo_rules.fleet_alerts import fleet_group
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile

ALONE = (replace(TWO_REGIONS[0], slots_per_host=TWO_REGIONS[0].replicas_per_host),)
"""One region, every slot in use: nowhere to shift to, nothing to add."""
SLOW = Fault(FaultKind.SLOW_REGION, "eu-west", 60, 300, size=6.0)
TICK_S = int(BRISK.tick_s)


def test_a_region_that_nothing_relieves_is_given_up_until_it_is_well():
    rehearsal = Rehearsal(Script(seed=1, faults=(SLOW,), regions=ALONE))
    told: list[tuple[float, frozenset[HelplessReason]]] = []

    async def play() -> None:
        while rehearsal.world.now_s < 360:
            await rehearsal.tick()
            view = rehearsal.controllers[0].view
            assert {each.slo for each in view.helpless} <= {SLO}
            assert not (view.helpless and view.actions_open), "while something is tried, nothing is given up"
            told.append((rehearsal.world.now_s, frozenset(each.reason for each in view.helpless)))

    asyncio.run(play())
    (lightened,) = rehearsal.controllers[0].view.actions
    assert (lightened.action.kind, lightened.verdict) == (ActionKind.SWITCH_PROFILE, Verdict.NO_EFFECT)
    given_up = [at_s for at_s, reasons in told if reasons]
    assert SLOW.from_s < given_up[0] <= 120
    assert len(given_up) >= 30, "for minutes, tick after tick, so that an alert can wait for it to last"
    assert next(reasons for at_s, reasons in told if at_s == given_up[0]) == {HelplessReason.NOTHING_HELPED}
    assert given_up[-1] < 340


def scraped(until_s: int) -> list[set[str]]:
    """The series about helplessness on the controller's own page, after every tick of the same fault."""
    rehearsal = Rehearsal(Script(seed=1, faults=(SLOW,), regions=ALONE))
    metrics = ControllerMetrics(SimulatedReports(rehearsal.world))
    pages: list[set[str]] = []

    async def play() -> None:
        while rehearsal.world.now_s < until_s:
            await rehearsal.tick()
            metrics.seen(rehearsal.controllers[0].view)
            pages.append(
                set(re.findall(rf"^({CONTROLLER_HELPLESS}{{.*}}) 1\.0$", metrics.render().decode(), re.MULTILINE))
            )

    asyncio.run(play())
    return pages


def as_prometheus_keeps_it(series: str, pages: list[set[str]]) -> str:
    """One, and the mark of staleness once a page does not have it any more."""
    before = [set[str](), *pages[:-1]]
    return " ".join(
        "1" if series in page else "stale" if series in former else "_"
        for former, page in zip(before, pages, strict=True)
    )


@pytest.mark.prometheus
def test_the_call_for_help_of_a_real_controller_fires_and_is_over_with_the_fault(tmp_path: Path):
    pages = scraped(until_s=480)
    series = sorted(set.union(*pages))
    assert len(series) == 2, "it gives two reasons, one after the other"
    firing = f'ALERTS{{alertname="{ALERT_CONTROLLER_GAVE_UP}",alertstate="firing"}}'
    labels = {"alertname": ALERT_CONTROLLER_GAVE_UP, "alertstate": "firing", "severity": "page", "region": "eu-west"}
    fires = "{" + ",".join(f'{label}="{value}"' for label, value in (labels | {"slo": SLO}).items()) + "}"
    seen_at = [(number + 1) * TICK_S for number, page in enumerate(pages) if page]
    wanted = {seen_at[0]: False, seen_at[0] + 150: True, seen_at[-1] - 15: True, seen_at[-1] + 30: False}
    (tmp_path / "rules.yml").write_text(render_rules(RuleFile((fleet_group(),))))
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": f"{TICK_S}s",
                "input_series": [
                    {"series": each, "values": "_ " + as_prometheus_keeps_it(each, pages)} for each in series
                ],
                "promql_expr_test": [
                    {
                        "expr": firing,
                        "eval_time": f"{at_s}s",
                        "exp_samples": [{"labels": f"ALERTS{fires}", "value": 1}] if is_on else [],
                    }
                    for at_s, is_on in wanted.items()
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(document, width=4_096))
    argv = ["promtool", "test", "rules", tmp_path / "test.yml"]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
