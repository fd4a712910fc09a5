"""Every compiled SLO carries its own tests: `promtool test rules` files that hold the rules to their promises.

Rules that quietly never fire are the usual fate of alerting, so the cases are generated with the rules: an outage pages in
time and not at once, silence and a few slow requests stay quiet, chance is no verdict, a region that vanishes is reported,
and the budget adds up.

promtool gives a file one evaluation interval, so there is one file for what scrapes show and one for each tier whose windows
are days. Time in promtool begins in 1970: calendar periods and maintenance are moved there, all else is tested as it ships.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from urllib.parse import quote

import yaml

from contracts.vocabulary import Region, SloId
from slo_rules import promql
from slo_rules.compiler import compile_slos
from slo_rules.fleet_alerts import fleet_group
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile
from slo_rules.rule_tests.cases import coverage_case, everyday_cases
from slo_rules.rule_tests.expect import Case, Tested
from slo_rules.rule_tests.samples import sample_case
from slo_rules.rule_tests.special import consequence_case, maintenance_case
from slo_rules.rule_tests.tiers import RAW, Grid, burn_case, grid_of, page_case
from slo_rules.rule_tests.traffic import MINUTE_S, Replica, input_series
from slo_rules.together import ancestors, members
from slo_rules.windows import Exclusion

NO_OTHERS: Mapping[SloId, Slo] = MappingProxyType({})
FIRST_DAY = date(1970, 1, 1)
"""When promtool's time begins."""
MAINTENANCE_S = 3_600
SUFFIX = "_test.yml"


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one file."""

    name: str
    """To tell the files of an SLO apart: `scrapes`, `tier-4`."""
    grid: Grid
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """An SLO with everything that its rules need, at the beginning of promtool's time."""

    slos: tuple[Slo, ...]
    """The SLO itself first, then its parts and what it depends on."""
    rules: RuleFile
    suites: tuple[Suite, ...]


def rehearse(slo: Slo, regions: tuple[Region, ...], others: Mapping[SloId, Slo] = NO_OTHERS) -> Rehearsal:
    """Rules and suites for one SLO; the first region is the one in trouble.

    Raises `ValueError` without a region, and `SloError` for an SLO that cannot be compiled, or whose selectors are beyond
    making up labels for.
    """
    cases = _everything(Tested.of(_unexcluded(slo), _all_unexcluded(others), regions))
    starts_s = max(expected.at_s for case in cases for expected in case.expected) + MINUTE_S
    maintenance = Exclusion(starts_s, starts_s + MAINTENANCE_S)
    moved = {name: _excluded(other, maintenance) for name, other in others.items()}
    slo = _excluded(slo, maintenance)
    tested = Tested.of(slo, moved, regions)
    if slo.exclusions or all(member.exclusions for member in members(slo, moved)):
        cases = (*cases, maintenance_case(tested, maintenance.starts_unix_s, maintenance.ends_unix_s))
    needed = {slo.id: slo, **{found.id: found for found in _needed(slo, moved)}}
    compiled = compile_slos(tuple(needed.values()), regions, FIRST_DAY)
    fleet = fleet_group().name
    return Rehearsal(
        tuple(needed.values()),
        RuleFile(tuple(group for group in compiled.groups if group.name != fleet)),
        (Suite("scrapes", RAW, cases), _budget_suite(tested), *_slow_suites(tested)),
    )


def rule_test_files(slos: tuple[Slo, ...], regions: tuple[Region, ...]) -> dict[str, str]:
    """Name → text of a folder in which `promtool test rules *_test.yml` judges `slos`; see `rehearse` for errors."""
    others = {slo.id: slo for slo in slos}
    files: dict[str, str] = {}
    for slo in slos:
        name = quote(slo.id, safe="")
        rehearsal = rehearse(slo, regions, others)
        files[f"{name}.rules.yml"] = render_rules(rehearsal.rules)
        for suite in rehearsal.suites:
            files[f"{name}.{suite.name}{SUFFIX}"] = render_suite(rehearsal, suite, rules_file=f"{name}.rules.yml")
    return files


def render_suite(rehearsal: Rehearsal, suite: Suite, *, rules_file: str) -> str:
    """A file for `promtool test rules`; `rules_file` is relative to it."""
    others = {slo.id: slo for slo in rehearsal.slos}

    def series(replica: Replica) -> Iterator[dict[str, str]]:
        slo = others[replica.of] if replica.of is not None else rehearsal.slos[0]
        return input_series(slo, others, replica, suite.grid.interval_s)

    document = {
        "rule_files": [rules_file],
        "evaluation_interval": promql.duration(suite.grid.evaluation_s),
        # Otherwise promtool takes them in any order, and what reads another group's series is at times a step behind.
        "group_eval_order": [group.name for group in rehearsal.rules.groups],
        "tests": [
            {
                "name": case.name,
                "interval": promql.duration(suite.grid.interval_s),
                # Two SLOs about one metric may ask for the same series: promtool takes it once.
                "input_series": list({line["series"]: line for r in case.replicas for line in series(r)}.values()),
                "promql_expr_test": [
                    {
                        "expr": expected.expr,
                        "eval_time": promql.duration(expected.at_s),
                        "exp_samples": [{"labels": "{}", "value": float(expected.value)}],
                    }
                    for expected in case.expected
                ],
            }
            for case in suite.cases
        ],
    }
    return yaml.safe_dump(document, sort_keys=False, width=4_096, allow_unicode=True)


def _everything(tested: Tested) -> tuple[Case, ...]:
    """All cases that begin with scrapes, but for maintenance."""
    return (
        page_case(tested),
        *(burn_case(tested, tier) for tier in tested.tiers[1:] if grid_of(tier) == RAW),
        *everyday_cases(tested),
        *((sample_case(tested),) if tested.shape.has_silence else ()),
        *((consequence_case(tested, tested.others[parent]),) if (parent := tested.slo.depends_on) is not None else ()),
    )


def _budget_suite(tested: Tested) -> Suite:
    """From recorded counts, one a minute: so that what was observed is known to the minute."""
    return Suite("budget", Grid(MINUTE_S, MINUTE_S, recorded=True), (coverage_case(tested),))


def _slow_suites(tested: Tested) -> tuple[Suite, ...]:
    return tuple(
        Suite(f"tier-{tier.number}", grid_of(tier), (burn_case(tested, tier),))
        for tier in tested.tiers
        if grid_of(tier) != RAW
    )


def _needed(slo: Slo, others: Mapping[SloId, Slo]) -> Iterator[Slo]:
    """What must be compiled with `slo`, each SLO before those that need it asking for more."""
    for name in ancestors(slo, others):
        yield others[name]
        yield from members(others[name], others)
    for member in members(slo, others):
        if member.id != slo.id:
            yield member
            yield from (others[name] for name in ancestors(member, others))


def _excluded(slo: Slo, maintenance: Exclusion) -> Slo:
    return replace(slo, exclusions=(maintenance,)) if slo.exclusions else slo


def _unexcluded(slo: Slo) -> Slo:
    return replace(slo, exclusions=())


def _all_unexcluded(slos: Mapping[SloId, Slo]) -> dict[SloId, Slo]:
    return {name: _unexcluded(slo) for name, slo in slos.items()}
