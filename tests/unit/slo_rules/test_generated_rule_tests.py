"""The tests every SLO ships with: real promtool passes them on what we compile, and fails them on what we break."""

import subprocess
from pathlib import Path

import pytest

from contracts.vocabulary import Region, SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_tests import render_rule_tests
from slo_rules.windows import RollingWindow

pytestmark = pytest.mark.prometheus
REGIONS = (Region("eu-west"), Region("us-east"))


def slo(objective: float = 0.95, page_within_s: float = 480.0) -> Slo:
    return Slo(SloId("speech"), objective, ExactCounters(0.2), page_within_s=page_within_s)


def promtool(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *argv], capture_output=True, text=True, timeout=60, check=False)


def run_rule_tests(folder: Path, tested: Slo, rules: str, regions=REGIONS) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yml").write_text(rules)
    (folder / "rules_test.yml").write_text(render_rule_tests(tested, regions, rules_file="rules.yml"))
    return promtool("test", "rules", str(folder / "rules_test.yml"))


@pytest.mark.parametrize(
    ("objective", "page_within_s"),
    [(0.5, 480.0), (0.9, 480.0), (0.95, 300.0), (0.95, 480.0), (0.95, 3600.0), (0.99, 480.0), (0.999, 480.0)],
)
def test_every_objective_keeps_its_promises(tmp_path, objective, page_within_s):
    tested = slo(objective, page_within_s)
    result = run_rule_tests(tmp_path, tested, render_rules(compile_slos((tested,), REGIONS)))
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_single_region_is_tested_too(tmp_path):
    result = run_rule_tests(tmp_path, slo(), render_rules(compile_slos((slo(),), REGIONS[:1])), REGIONS[:1])
    assert result.returncode == 0, result.stdout + result.stderr


MUTATIONS = {
    "compare the wrong way": ("[10m]) > 0.5", "[10m]) < 0.5"),
    "compare the wrong way over the short window": ("[2m]) > 0.5", "[2m]) < 0.5"),
    "believe a small sample": ("+ 2.33 *", "+ 0 *"),
    "subtract the margin": ("+ 2.33 *", "- 2.33 *"),
    "lower the floor": (">= 9.5", ">= 8.5"),
    "raise the floor": (">= 9.5", ">= 11"),
    "demand nearly all requests to be bad": ("> 0.5 *", "> 0.99 *"),
    "page too eagerly": ("> 0.5 *", "> 0.2 *"),
    "look back too far": ("[10m]", "[1h]"),
    "look back too little": ("[10m]", "[4m]"),
    "forget the short window": (
        (
            ' and sum_over_time(slo:events_bad:inc1m{slo="speech"}[2m]) > 0.5 '
            '* sum_over_time(slo:events_total:inc1m{slo="speech"}[2m])'
        ),
        "",
    ),
    "count good as bad": ('outcome="bad"', 'outcome="good"'),
    "count per second": ("60 * sum", "1 * sum"),
    "mix the regions": ("by (slo, region)", "by (slo)"),
    "alert on presence": ("absent(", "count("),
    "wait too long for missing data": ("for: 2m", "for: 10m"),
    "miss the budget by ten": ("/ 0.05", "/ 0.5"),
    "alert within budget": ("> 0.05 *", "> 0.005 *"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_broken_rule_fails_its_generated_tests(tmp_path, mutation):
    rules = render_rules(compile_slos((slo(),), REGIONS))
    original, broken = MUTATIONS[mutation]
    assert original in rules
    result = run_rule_tests(tmp_path, slo(), rules.replace(original, broken))
    assert result.returncode == 1
    assert "FAILED" in result.stdout + result.stderr


def test_promtool_accepts_hostile_text_and_several_slos(tmp_path):
    hostile = Slo(
        SloId('a "b" {{c'), 0.99, indicator=ExactCounters(0.5), description="{{ query `up` }}", owner="o'\"\\\n"
    )
    path = tmp_path / "rules.yml"
    path.write_text(render_rules(compile_slos((slo(), hostile), REGIONS)))
    result = promtool("check", "rules", str(path))
    assert result.returncode == 0, result.stdout + result.stderr


def test_without_a_region_there_is_nothing_to_test():
    with pytest.raises(ValueError, match="at least one region"):
        render_rule_tests(slo(), (), rules_file="rules.yml")


def test_the_budget_of_a_full_window_counts_events_and_not_minutes(tmp_path):
    """Busy clean days and quiet slow nights: by events 96 % of the budget is left, by averaged ratios it is overspent.

    Six days, because promtool loads at most 10,000 samples per query; the alerts are not what is tested here.
    """
    days, minutes = 6, 12 * 60
    compiled = compile_slos((Slo(SloId("speech"), 0.95, ExactCounters(0.2), RollingWindow(days * 86_400)),), ())
    events, budget, _ = compiled.groups
    recordings_only = type(events)(events.name, events.interval_s, events.rules[:2])
    (tmp_path / "rules.yml").write_text(render_rules(type(compiled)((recordings_only, budget))))
    good, bad = _day_and_night(days, minutes)
    series = 'slo_events_total{{job="tts",region="eu-west",slo="speech",outcome="{}"}}'.format
    left = 'round(slo:error_budget_remaining:ratio{slo="speech"}, 0.01)'
    (tmp_path / "budget_test.yml").write_text(
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n"
        "- interval: 1m\n  input_series:\n"
        f"  - {{series: '{series('good')}', values: '{good}'}}\n"
        f"  - {{series: '{series('bad')}', values: '{bad}'}}\n"
        f"  promql_expr_test:\n  - {{expr: 'sum({left})', eval_time: {days}d, exp_samples: [{{labels: '{{}}', value: 0.96}}]}}\n"
    )
    result = promtool("test", "rules", str(tmp_path / "budget_test.yml"))
    assert result.returncode == 0, result.stdout + result.stderr


def _day_and_night(days: int, minutes: int) -> tuple[str, str]:
    """100 requests per second and none slow for half a day, then one per second and a fifth of them slow."""
    good, bad, goods, bads = 0, 0, ["0"], ["0"]
    for _ in range(days):
        for good_rate, bad_rate in ((6000, 0), (48, 12)):
            goods.append(f"{good + good_rate}+{good_rate}x{minutes - 1}")
            bads.append(f"{bad + bad_rate}+{bad_rate}x{minutes - 1}")
            good, bad = good + good_rate * minutes, bad + bad_rate * minutes
    return " ".join(goods), " ".join(bads)
