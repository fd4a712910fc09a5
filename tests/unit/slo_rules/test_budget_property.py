"""The compiled budget is the true one: random traffic, counted exactly, against what the rules make of its scrapes.

Promtool cannot judge hundreds of random histories within a test. So Prometheus' `rate` is written down here once, promtool
confirms on a few histories that the model and the compiled rules agree, and Hypothesis asks the model about the rest.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.vocabulary import Region, SloId
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile
from slo_rules.rule_tests.suite import rehearse
from slo_rules.rules.events import EVENTS_RANGE_S

MINUTE_S = 60
QUIET_S = 3 * MINUTE_S
"""After the traffic, so that `rate` has seen all of it."""
SLO = Slo(SloId("speech"), 0.9, ExactCounters(0.2))
BUDGET = 0.1
Counter = list[tuple[float, float]]
"""Samples: seconds and value."""


@dataclass(frozen=True)
class Stretch:
    """Traffic that does not change for some minutes."""

    minutes: int
    requests_per_s: float
    bad_share: float
    bunched: bool = False
    """All of a minute's requests come in its first scrape."""
    restart: bool = False
    """The replica begins anew, at zero."""


@dataclass(frozen=True)
class Scrapes:
    """When counters are read."""

    every_s: int
    offset_s: float = 0.0
    """After an evaluation."""


def counters(
    stretches: Sequence[Stretch], scrapes: Scrapes, chance: np.random.Generator | None = None
) -> tuple[Counter, Counter, float, float]:
    """Samples of good and bad requests, and how many there were of each. Whole requests only, which come
    at equal distances or by `chance`."""
    good, bad = [0, 0], [0, 0]  # since the last restart, ever
    owed = [0.0, 0.0]
    at = scrapes.offset_s
    samples: tuple[Counter, Counter] = ([(at, 0.0)], [(at, 0.0)])
    for stretch in (*stretches, Stretch(QUIET_S // MINUTE_S, 0.0, 0.0)):
        for index in range(stretch.minutes * MINUTE_S // scrapes.every_s):
            if (
                stretch.restart and index == 0
            ):  # counters are zero before the first request, so a restart is seen as one
                good[0], bad[0], events = 0, 0, 0.0
            elif stretch.bunched:
                first = index * scrapes.every_s % MINUTE_S < scrapes.every_s
                events = stretch.requests_per_s * MINUTE_S * first
            else:
                events = stretch.requests_per_s * scrapes.every_s
            for kind, (count, share) in enumerate(((good, 1 - stretch.bad_share), (bad, stretch.bad_share))):
                owed[kind] += events * share
                whole = int(owed[kind]) if chance is None else int(chance.poisson(owed[kind]))
                owed[kind] = owed[kind] - whole if chance is None else 0.0
                count[0] += whole
                count[1] += whole
                samples[kind].append((at + scrapes.every_s, float(count[0])))
            at += scrapes.every_s
    return *samples, float(good[1]), float(bad[1])


def rate(samples: Counter, at: float) -> float | None:
    """Prometheus' `rate(…[2m])` at that time: the increase, stretched to the whole range (promql/functions.go)."""
    seen = [sample for sample in samples if at - EVENTS_RANGE_S <= sample[0] <= at]
    if len(seen) < 2:
        return None
    (first_at, first), (last_at, last) = seen[0], seen[-1]
    increase = last - first + sum(before for (_, before), (_, after) in pairwise(seen) if after < before)
    sampled_s = last_at - first_at
    mean_s = sampled_s / (len(seen) - 1)
    to_start, to_end = first_at - (at - EVENTS_RANGE_S), at - last_at
    if increase > 0:
        to_start = min(to_start, sampled_s * first / increase)
    stretched_s = sampled_s + sum(gap if gap < 1.1 * mean_s else mean_s / 2 for gap in (to_start, to_end))
    return increase * stretched_s / sampled_s / EVENTS_RANGE_S


def recorded(samples: Counter) -> float:
    """Sum of the one-minute series over all of the history."""
    minutes = range(0, int(samples[-1][0]) + MINUTE_S, MINUTE_S)
    return sum(60 * (rate(samples, at) or 0.0) for at in minutes)


def left(good: float, bad: float) -> float:
    return 1 - bad / max(good + bad, 1) / BUDGET


def compiled_left(stretches: Sequence[Stretch], scrapes: Scrapes) -> tuple[float, float]:
    """Budget left by the rules, and in truth."""
    good_samples, bad_samples, good, bad = counters(stretches, scrapes)
    return left(recorded(good_samples), recorded(bad_samples)), left(good, bad)


STRETCHES = st.lists(
    st.builds(
        Stretch,
        minutes=st.integers(1, 40),
        requests_per_s=st.one_of(st.just(0.0), st.floats(0.01, 100.0)),
        bad_share=st.one_of(st.just(0.0), st.floats(0.0, 0.2), st.just(1.0)),
        bunched=st.booleans(),
        restart=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(stretches=STRETCHES, every_s=st.sampled_from([10, 15, 20, 30]))
def test_any_traffic_spends_the_budget_that_exact_counts_say(stretches, every_s):
    """Bursts, idle stretches, restarts: where scrapes and evaluations meet, no event is lost or counted twice."""
    compiled, true = compiled_left(stretches, Scrapes(every_s))
    assert compiled == pytest.approx(true, rel=0.01, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(
    stretches=st.lists(
        st.builds(
            Stretch,
            minutes=st.integers(30, 60),
            requests_per_s=st.floats(5.0, 100.0),
            bad_share=st.floats(0.01, 0.2),
            restart=st.booleans(),
        ),
        min_size=2,
        max_size=5,
    ),
    every_s=st.sampled_from([5, 10, 15, 30]),
    offset=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_scrapes_between_evaluations_blur_counts_and_do_not_shift_them(stretches, every_s, offset, seed):
    """Then an event counts between 2/3 and 4/3, by when in a minute it comes: a variance of at most an eighth per event."""
    scrapes, chance = Scrapes(every_s, offset * every_s), np.random.default_rng(seed)
    *samples, good, bad = counters(stretches, scrapes, chance)
    for series, true in zip(samples, (good, bad), strict=True):
        assert recorded(series) == pytest.approx(true, abs=0.01 * true + 5 * (true / 8) ** 0.5 + 1)


HISTORIES = (
    ((Stretch(20, 10.0, 0.05), Stretch(10, 0.0, 0.0), Stretch(7, 0.3, 1.0, bunched=True)), Scrapes(30)),
    ((Stretch(15, 2.0, 0.1), Stretch(15, 2.0, 0.02, restart=True), Stretch(3, 40.0, 0.5)), Scrapes(15)),
    ((Stretch(30, 1.7, 0.07), Stretch(4, 90.0, 0.0), Stretch(30, 0.05, 0.3, restart=True)), Scrapes(25)),
    ((Stretch(5, 100.0, 1.0, bunched=True), Stretch(25, 1.0, 0.0)), Scrapes(35)),
)


@pytest.mark.prometheus
def test_promtool_agrees_with_the_model_of_the_rules(tmp_path):
    groups = rehearse(SLO, (Region("eu-west"),)).rules.groups
    (tmp_path / "rules.yml").write_text(render_rules(RuleFile(groups)))
    tests = []
    for stretches, scrapes in HISTORIES:
        good, bad, _, _ = counters(stretches, scrapes)
        series = 'slo_events_total{{job="tts",region="eu-west",slo="speech",outcome="{}"}}'.format
        compiled = compiled_left(stretches, scrapes)[0]
        end_s = int(good[-1][0]) // MINUTE_S * MINUTE_S + MINUTE_S
        difference = f'abs(sum(slo:error_budget_remaining:ratio{{slo="speech"}}) - {compiled:.9f}) < bool 0.00001'
        tests.append(
            {
                "interval": f"{scrapes.every_s}s",
                "input_series": [
                    {"series": series(outcome), "values": " ".join(f"{value:g}" for _, value in samples)}
                    for outcome, samples in (("good", good), ("bad", bad))
                ],
                "promql_expr_test": [
                    {"expr": difference, "eval_time": f"{end_s}s", "exp_samples": [{"labels": "{}", "value": 1}]}
                ],
            }
        )
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "budget_test.yml").write_text(yaml.safe_dump(document))
    argv = ["promtool", "test", "rules", "budget_test.yml"]
    result = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
