"""Mutation testing of compiled rules: every way in which a rule can be quietly wrong turns a generated case red.

Each mutant is one rule file with one mistake, beside the generated cases and expectations that are about that rule. Real
promtool judges them. A mutant that survives is a missing case. The lists below are the whole claim: each rule may be absent,
and each may have the mistakes named for its kind.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from contracts.metric_names import (
    ALERT_SLO_BUCKET_MISSING,
    ALERT_SLO_BURN,
    ALERT_SLO_NO_DATA,
    LABEL_TIER,
    RULE_BUDGET_REMAINING,
    RULE_COVERAGE,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_BAD_INC4M,
    RULE_EVENTS_TOTAL_INC1M,
    RULE_EVENTS_TOTAL_INC4M,
    RULE_FIRST_SEEN,
    RULE_LATENCY_BUCKETS,
    RULE_LATENCY_QUANTILE,
    RULE_OBSERVED_MINUTES_INC4M,
    RULE_STATE,
)
from contracts.vocabulary import Region, SloId
from slo_rules import promql
from slo_rules.indicators import ClassicHistogram, EventRatio, ExactCounters
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import AlertingRule, RecordingRule, RuleFile
from slo_rules.rule_tests.suite import Rehearsal, Suite, rehearse, render_suite
from slo_rules.tiers import Tier, derive_tiers

pytestmark = pytest.mark.prometheus
REGIONS = (Region("eu-west"), Region("us-east"))
COUNTS = (RULE_EVENTS_TOTAL_INC1M, RULE_EVENTS_BAD_INC1M)
SUMS = (RULE_EVENTS_TOTAL_INC4M, RULE_EVENTS_BAD_INC4M, RULE_OBSERVED_MINUTES_INC4M)
Rule = AlertingRule | RecordingRule
Mistake = Callable[[str], str]


def name_of(rule: Rule) -> str:
    return rule.alert if isinstance(rule, AlertingRule) else rule.record


def instead(old: str, new: str, *, nth: int = 0) -> Mistake:
    """`new` in the place of one occurrence of `old`; the text must have it."""

    def apply(text: str) -> str:
        parts = text.split(old)
        assert len(parts) > nth + 1, f"{old!r} is not {nth + 1} times in {text!r}"
        return old.join(parts[: nth + 1]) + new + old.join(parts[nth + 1 :])

    return apply


def throughout(old: str, new: str) -> Mistake:
    """`new` in the place of every `old`, of which there must be one."""

    def apply(text: str) -> str:
        assert old in text, f"{old!r} is nowhere in {text!r}"
        return text.replace(old, new)

    return apply


def swapped(text: str) -> str:
    return text.replace("events_bad", "\0").replace("events_total", "events_bad").replace("\0", "events_total")


def burn(tier: Tier) -> dict[str, Mistake]:
    theta, z = f"> {promql.number(tier.theta)} *", f" + {promql.number(tier.z)} * sqrt("
    long, short = (f"[{promql.duration(seconds)}]" for seconds in (tier.long_s, tier.short_s))
    return {
        "compares the long window the wrong way": instead(" > ", " < "),
        "compares the short window the wrong way": instead(" > ", " < ", nth=1),
        "compares the floor the wrong way": instead(" >= ", " <= "),
        "either window is enough": instead(" and ", " or "),
        "any count above the floor is compared as one": instead(">= 9.5", ">= bool 9.5"),
        "no short window": lambda text: text[: text.rindex(" and ")],
        "no floor": instead(" >= 9.5", ""),
        "twice θ over the long window": instead(theta, theta.replace("> ", "> 2 * ")),
        "half θ over the long window": instead(theta, theta.replace("> ", "> 0.5 * ")),
        "twice θ over the short window": instead(theta, theta.replace("> ", "> 2 * "), nth=1),
        "half θ over the short window": instead(theta, theta.replace("> ", "> 0.5 * "), nth=1),
        "a long window three times as long": throughout(long, f"[{3 * tier.long_s}s]"),
        "a long window a third as long": throughout(long, f"[{tier.long_s // 3}s]"),
        "a short window three times as long": throughout(short, f"[{3 * tier.short_s}s]"),
        "a short window a third as long": throughout(short, f"[{tier.short_s // 3}s]"),
        "no significance": instead(z, " + 0 * sqrt("),
        "half the significance": instead(z, z.replace("+ ", "+ 0.5 * ")),
        "twice the significance": instead(z, z.replace("+ ", "+ 2 * ")),
        "significance the wrong way": instead(z, z.replace("+", "-")),
        "a floor of one less": instead(">= 9.5", ">= 8.5"),
        "a floor of one more": instead(">= 9.5", ">= 10.5"),
        "good and bad swapped": swapped,
        "of another SLO": throughout('slo="speech"', 'slo="other"'),
        "of the next tier's windows": lambda text: text.replace(long, f"[{4 * tier.long_s}s]"),
        "half of both θ": throughout(theta, theta.replace("> ", "> 0.5 * ")),
    }


EXACT_COUNT = {
    "mixes the regions": instead("(slo, region)", "(slo)"),
    "counts twice what two servers see": instead("max without (prometheus, prometheus_replica)", ""),
    "counts per second": instead("60 * ", "1 * "),
    "looks back too far": instead("[2m]", "[6m]"),
    "looks back too little": instead("[2m]", "[40s]"),
    "of another SLO": instead('slo="speech"', 'slo="other"'),
}
NO_DATA = {
    "alerts on presence": instead("absent(", "count("),
    "of another region": instead('region="', 'region="other-'),
    "of another SLO": instead('slo="speech"', 'slo="other"'),
}
BUDGET = {
    "twice the budget": instead("/ 0.05", "/ 0.1"),
    "half the budget": instead("/ 0.05", "/ 0.025"),
    "spent instead of left": instead("1 - ", ""),
    "good and bad swapped": swapped,
    "idle is 0 / 0": instead(", 1)", ", 0)"),
    "a window of minutes": lambda text: re.sub(r"\[\d+d[^]]*\]", "[8m]", text),
}
SPANS = {
    "each minute in four of them": lambda text: text[: text.index(" and on ()")],
    "one minute in two of them": instead("[3m59s999ms]", "[5m]"),
    "of another SLO": instead('slo="speech"', 'slo="other"'),
}
STATES = {
    "no_data": {"knows missing regions only": instead("0 * max", "1 * max")},
    "no_traffic": {
        "any traffic is none": instead("> 0", "< 0"),
        "looks at a year": instead("[10m]", "[1y]"),
        "silence is traffic": instead("> 0", ">= 0"),
    },
    "breach": {"less than all is a breach": instead("< 0", "> 0"), "never": instead("< 0", "< -9")},
    "ok": {"also without data": instead("no_data", "ok"), "also in a breach": instead(' - max by (region) (slo:state{slo="speech",state="breach"})', "")},
}  # fmt: skip
COVERAGE = {
    "counts all regions as seen": instead("vector(0)", "vector(1e9)"),
    "counts hours": instead("/ 60", "/ 3600"),
    "forgets what is missing": instead("clamp_max((", "clamp_max(1e9 * ("),
}
OF_A_HISTOGRAM = {
    "counts replicas without the bucket": throughout(" and ignoring (le)", " or ignoring (le)"),
    "another bucket": throughout('le="0.2"', 'le="0.4"'),
    "mixes the regions": throughout("by (region)", ""),
    "counts twice what two servers see": throughout("max without (prometheus, prometheus_replica)", ""),
}
OF_A_RATIO = {
    "mixes the regions": throughout("by (region)", ""),
    "counts per second": throughout("60 * ", "1 * "),
    "counts twice what two servers see": throughout("max without (prometheus, prometheus_replica)", ""),
}


THOROUGH = {"1", "4"}
"""Tiers with every mistake: the page, told from scrapes, and the ticket at the budget, told from recorded series. Those between
them have the same expression and the same cases."""


def exact_mistakes(rule: Rule, tiers: tuple[Tier, ...]) -> dict[str, Mistake]:  # noqa: PLR0911  # one per kind of rule
    """The documented mistakes for one rule of an SLO about our own counters."""
    labels = dict(rule.labels)
    match name_of(rule):
        case name if name == ALERT_SLO_BURN:
            mistakes = burn(next(tier for tier in tiers if str(tier.number) == labels[LABEL_TIER]))
            return mistakes if labels[LABEL_TIER] in THOROUGH else dict(list(mistakes.items())[-3:])
        case name if name == ALERT_SLO_NO_DATA:
            return NO_DATA
        case name if name == RULE_EVENTS_TOTAL_INC1M:
            return {**EXACT_COUNT, "the good only": instead('slo="speech"', 'slo="speech",outcome="good"')}
        case name if name == RULE_EVENTS_BAD_INC1M:
            bad = 'outcome="bad"'
            return {**EXACT_COUNT, "the good": instead(bad, 'outcome="good"'), "all": instead(f",{bad}", "")}
        case name if name in SUMS:
            # Coverage is looked at on a grid of four minutes, on which the mistake makes no difference.
            unseen = {"each minute in four of them"} if name == RULE_OBSERVED_MINUTES_INC4M else set()
            return {what: mistake for what, mistake in SPANS.items() if what not in unseen}
        case name if name == RULE_BUDGET_REMAINING:
            return BUDGET
        case name if name == RULE_COVERAGE:
            return COVERAGE
        case name if name == RULE_STATE:
            return STATES[labels["state"]]
    return {}


@dataclass(frozen=True)
class Mutant:
    """One rule and what stands in its place; itself, for the check that the chosen cases are green without a mistake."""

    what: str
    original: Rule
    mutated: Rule | None


def mutants_of(rule: Rule, mistakes: dict[str, Mistake]) -> Iterator[Mutant]:
    yield Mutant("is not there", rule, None)
    if isinstance(rule, AlertingRule) and rule.for_s:
        yield Mutant("waits too long", rule, replace(rule, for_s=20 * 60))
    for what, mistake in mistakes.items():
        mutated = replace(rule, expr=mistake(rule.expr))
        assert mutated != rule, what
        yield Mutant(what, rule, mutated)


FAMILIES = {
    RULE_STATE: ((RULE_STATE, RULE_BUDGET_REMAINING), (RULE_STATE,)),
    RULE_COVERAGE: ((RULE_COVERAGE, RULE_FIRST_SEEN), (RULE_COVERAGE,)),
    RULE_FIRST_SEEN: ((RULE_COVERAGE, RULE_FIRST_SEEN), (RULE_COVERAGE,)),
    **dict.fromkeys(
        SUMS, ((RULE_BUDGET_REMAINING, RULE_COVERAGE, RULE_FIRST_SEEN), (RULE_BUDGET_REMAINING, RULE_COVERAGE))
    ),
    RULE_LATENCY_BUCKETS: ((RULE_LATENCY_BUCKETS, RULE_LATENCY_QUANTILE), (RULE_LATENCY_QUANTILE,)),
    RULE_LATENCY_QUANTILE: ((RULE_LATENCY_BUCKETS, RULE_LATENCY_QUANTILE), (RULE_LATENCY_QUANTILE,)),
}
"""Rules that read each other, and what expectations about them mention; for the other rules that is their own name."""


def about(rule: Rule) -> tuple[Callable[[Rule], bool], tuple[str, ...]]:
    """Which rules stand beside `rule` besides the counts, and what expectations have to mention: it saves nine tenths."""
    name = name_of(rule)
    if name == ALERT_SLO_BURN:
        return (lambda _: False), (f'{LABEL_TIER}="{dict(rule.labels)[LABEL_TIER]}"',)
    if name in COUNTS:
        first_tier = f'{LABEL_TIER}="1"'
        return (lambda other: name_of(other) == RULE_BUDGET_REMAINING or dict(other.labels).get(LABEL_TIER) == "1"), (
            *COUNTS,
            RULE_BUDGET_REMAINING,
            first_tier,
        )
    beside, mentioned = FAMILIES.get(name, ((name,), (name,)))
    return (lambda other: name_of(other) in beside), mentioned


def files_of(rehearsal: Rehearsal, mutant: Mutant, number: int) -> Iterator[tuple[str, str]]:
    """Name and text of the mutant's rules and of its cases."""
    beside, mentioned = about(mutant.original)
    groups = []
    for group in rehearsal.rules.groups:
        kept = [rule for rule in group.rules if rule == mutant.original or beside(rule) or ":inc" in name_of(rule)]
        rules = tuple(mutant.mutated if rule == mutant.original else rule for rule in kept)
        groups.append(replace(group, rules=tuple(rule for rule in rules if rule is not None)))
    yield f"{number}.rules.yml", render_rules(RuleFile(tuple(group for group in groups if group.rules)))
    for suite in rehearsal.suites:
        cases = tuple(_focused(suite, mentioned))
        if cases:
            text = render_suite(rehearsal, replace(suite, cases=cases), rules_file=f"{number}.rules.yml")
            yield f"{number}.{suite.name}_test.yml", text


def _focused(suite: Suite, mentioned: tuple[str, ...]):
    for case in suite.cases:
        expected = tuple(one for one in case.expected if any(mention in one.expr for mention in mentioned))
        regions = [
            replica.region for replica in case.replicas if any(f'"{replica.region}"' in one.expr for one in expected)
        ]
        if expected:
            yield replace(
                case,
                expected=expected,
                replicas=tuple(replica for replica in case.replicas if replica.region in (*regions, *REGIONS)),
            )


def red_files(files: list[Path]) -> set[str]:
    """Names of those that promtool does not pass, asked once for all: standard output has SUCCESS after each that it does."""
    argv = ["promtool", "test", "rules", *map(str, files)]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False)
    reports = re.split(r"^Unit Testing:\s+", result.stdout, flags=re.MULTILINE)[1:]
    assert len(reports) == len(files)
    return {Path(report.split()[0]).name for report in reports if "SUCCESS" not in report}


def survivors(folder: Path, rehearsal: Rehearsal, mutants: list[Mutant]) -> set[str]:
    """Mutants that no case is red about; the rules as they are must be green about the same cases."""
    rules = list(dict.fromkeys(mutant.original for mutant in mutants))
    judged = [*(Mutant("as it is", rule, rule) for rule in rules), *mutants]
    for number, mutant in enumerate(judged):
        for name, text in files_of(rehearsal, mutant, number):
            (folder / name).write_text(text)
    files = sorted(folder.glob("*_test.yml"))
    with ThreadPoolExecutor(2) as pool:
        red = set().union(*pool.map(red_files, (files[::2], files[1::2])))
    seen, dead = ({int(name.split(".")[0]) for name in names} for names in ({file.name for file in files}, red))
    assert seen == set(range(len(judged)))
    green = [number not in dead for number in range(len(judged))]
    named = {number: f"{name_of(m.original)} {dict(m.original.labels)}: {m.what}" for number, m in enumerate(judged)}
    assert [named[number] for number in range(len(rules)) if not green[number]] == []
    return {named[number] for number in range(len(rules), len(judged)) if green[number]}


def test_every_mistake_in_the_rules_of_an_slo_turns_a_case_red(tmp_path):
    slo = Slo(SloId("speech"), 0.95, ExactCounters(0.2), owner="speech")
    rehearsal, tiers = rehearse(slo, REGIONS), derive_tiers(slo)
    rules = [rule for group in rehearsal.rules.groups for rule in group.rules if "latency" not in name_of(rule)]
    mutants = [mutant for rule in rules for mutant in mutants_of(rule, exact_mistakes(rule, tiers))]
    assert len(mutants) > 100
    assert survivors(tmp_path, rehearsal, mutants) == set()


@pytest.mark.parametrize(
    ("indicator", "mistakes"),
    [
        (ClassicHistogram("h", 0.2), OF_A_HISTOGRAM),
        (EventRatio("asked_total", good="served_total"), {"good is bad": instead("served", "failed")}),
        (EventRatio("asked_total", bad="failed_total"), {**OF_A_RATIO, "bad is good": instead("failed", "served")}),
    ],
    ids=["histogram", "good", "bad"],
)
def test_every_mistake_in_what_is_counted_turns_a_case_red(tmp_path, indicator, mistakes):
    rehearsal = rehearse(Slo(SloId("speech"), 0.9, indicator, owner="speech"), REGIONS)
    mutants = []
    for group in rehearsal.rules.groups:
        for rule in group.rules:
            if name_of(rule) in COUNTS:
                fitting = {what: mistake for what, mistake in mistakes.items() if fits(mistake, rule.expr)}
                mutants += mutants_of(rule, fitting)
            elif name_of(rule) in {ALERT_SLO_BUCKET_MISSING, RULE_LATENCY_BUCKETS, RULE_LATENCY_QUANTILE}:
                mutants += mutants_of(rule, {})
    assert set(mistakes) <= {mutant.what for mutant in mutants}
    assert survivors(tmp_path, rehearsal, mutants) == set()


def fits(mistake: Mistake, text: str) -> bool:
    """Whether that mistake can be made in that rule."""
    try:
        return mistake(text) != text
    except AssertionError:
        return False
