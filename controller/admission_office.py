"""Answers "what if": asks a Prometheus what an admission has to know, and lets `admission` judge it.

Nothing here stores or changes anything. One objective at a time is examined, however many operators ask: the past of one
is more to read than everything the rules read in a minute.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from chassis.clock import Clock, utc_date
from contracts import metric_names as names
from contracts.vocabulary import Region, SloId
from controller.admission import questions
from controller.admission.cost import SCRAPE_INTERVAL_S_ASSUMED, Spacing, cost_of, groups_of, raw_selectors
from controller.admission.facts import BucketFacts, FactSource, NoAnswer, Row, ServerFacts, SloFacts, SourceFacts
from controller.admission.findings import Finding, in_order, judge, judge_backtest, prometheus_silent, stand_in
from controller.admission.references import with_needs
from controller.admission.report import Asked, Report
from slo_rules import promql
from slo_rules.backtest import Backtest, backtest
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ClassicHistogram, NativeHistogram
from slo_rules.model import Slo
from slo_rules.rules.events import events_of
from slo_rules.tiers import derive_tiers
from slo_rules.together import ancestors

EXAMINED_S_MAX = 60.0
"""Of one objective, the wait for others included: ninety days of it are some forty questions of a second at worst."""
DAY_S = 86_400
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Past:
    """A stretch of it, and the objectives that it is seen through."""

    by_id: Mapping[SloId, Slo]
    starts_unix_s: int
    ends_unix_s: int
    left_open: bool


class _SilentError(Exception):
    """Prometheus gave no answer: ends an examination, and becomes a finding at its border."""


class AdmissionOffice:
    """`admission.report.AdmissionDesk` over a source of facts."""

    def __init__(self, *, facts: FactSource, regions: Callable[[], tuple[Region, ...]], clock: Clock) -> None:
        """`regions` are those expected to report; it may block."""
        self._facts = facts
        self._regions = regions
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def examine(self, asked: Asked) -> Report:
        """Everything that can be said about an objective before it is created. It must be structurally sound."""
        regions = await asyncio.to_thread(self._regions)
        among = {slo.id: slo for slo in asked.among}
        report = Report(slo=asked.slo, tiers=derive_tiers(asked.slo, among), findings=())
        why = f"others were examined for all of {EXAMINED_S_MAX:g} s"
        try:
            async with asyncio.timeout(EXAMINED_S_MAX), self._one_at_a_time:
                why = f"it did not answer everything within {EXAMINED_S_MAX:g} s"
                return await self._examine(report, asked, regions)
        except TimeoutError:
            pass  # why is said already
        except _SilentError as error:
            why = str(error)
        return replace(report, findings=(prometheus_silent(why),))

    async def _examine(self, report: Report, asked: Asked, regions: tuple[Region, ...]) -> Report:
        server = _answered(await self._facts.server())
        facts = await self._gather(asked.slo, server, regions)
        by_id = {slo.id: slo for slo in asked.among} | {asked.slo.id: asked.slo}
        compiled = await asyncio.to_thread(
            compile_slos, with_needs(asked.slo, by_id), regions, today=utc_date(self._clock.now_unix_s())
        )
        groups = groups_of(asked.slo.id, compiled)
        series = {selector: await self._count(f"count({selector})") for selector in raw_selectors(groups, compiled)}
        recorded = await self._ask(events_of(asked.slo, by_id).total)
        cost = cost_of(groups, compiled, _spacing(facts, series, len(recorded)))
        past, source, found = await self._past(asked, facts)
        findings = (*judge(asked.slo, facts, cost), *found)
        return replace(report, findings=in_order(findings), facts=facts, cost=cost, past=past, past_source=source)

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _gather(self, slo: Slo, server: ServerFacts, regions: tuple[Region, ...]) -> SloFacts:
        indicator = slo.indicator
        facts = SloFacts(
            server=server,
            sources=tuple([await self._source(source) for source in questions.sources_of(slo.id, indicator)]),
            regions_expected=regions,
        )
        if isinstance(indicator, ClassicHistogram):
            return replace(facts, buckets=await self._buckets(indicator))
        if isinstance(indicator, NativeHistogram):
            return replace(facts, native_series=await self._count(questions.native_series(indicator)))
        return facts

    async def _source(self, source: questions.Source) -> SourceFacts:
        targets = questions.targets_in(await self._ask(questions.by_target(source.selector)))
        exists = bool(targets) or bool(await self._ask(questions.any_series(source.metrics)))
        described = await self._facts.metric_type(source.described_as)
        return SourceFacts(
            role=source.role,
            selector=source.selector,
            metrics=source.metrics,
            metric_exists=exists,
            metric_type="" if isinstance(described, NoAnswer) else described,
            targets=targets,
        )

    async def _buckets(self, indicator: ClassicHistogram) -> BucketFacts:
        edges = await self._ask(questions.edges(indicator))
        without = questions.targets_in(await self._ask(questions.without_bucket(indicator)))
        return BucketFacts(
            edges=tuple(sorted({row.labels[names.LABEL_LE] for row in edges}, key=float)),
            without_threshold=tuple(target.target for target in without),
        )

    # ── the past ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _past(self, asked: Asked, facts: SloFacts) -> tuple[Backtest | None, str, tuple[Finding, ...]]:
        """What it would have done, what that was read from, and what to think of it."""
        if not asked.days:
            return None, "", ()
        slo, source = asked.slo, ""
        if slo.exact is not None and not any(each.series for each in facts.sources):
            counted = _from_display(slo)
            if await self._count(f"count({questions.sources_of(slo.id, counted)[0].selector})"):
                slo, source = replace(slo, indicator=counted), counted.selector
        past = await self._backtest(slo, asked, facts.server)
        found = judge_backtest(asked.slo, past)
        if not any(region.events for region in past.regions):
            return None, "", found
        return past, source, (*found, stand_in(source)) if source else found

    async def _backtest(self, slo: Slo, asked: Asked, server: ServerFacts) -> Backtest:
        """Of `slo` with everything that it depends on, which comes first: it may have been silent because of that."""
        ends = int(self._clock.now_unix_s()) // questions.MINUTE_S * questions.MINUTE_S
        by_id = {each.id: each for each in asked.among} | {slo.id: slo}
        past = _Past(by_id, ends - asked.days * DAY_S, ends, server.left_open)
        above: tuple[Backtest, ...] = ()
        for name in reversed(ancestors(slo, by_id)):
            above = (*above, await self._backtest_alone(by_id[name], past, above))
        return await self._backtest_alone(slo, past, above)

    async def _backtest_alone(self, slo: Slo, past: _Past, above: tuple[Backtest, ...]) -> Backtest:
        events = events_of(slo, past.by_id)
        total = _answered(await self._facts.minutes(events.total, past.starts_unix_s, past.ends_unix_s))
        bad = _answered(await self._facts.minutes(events.bad, past.starts_unix_s, past.ends_unix_s))

        def judged() -> Backtest:
            span = (past.starts_unix_s, past.ends_unix_s)
            history = questions.history_of(total, bad, *span, left_open=past.left_open)
            return backtest(slo, derive_tiers(slo, past.by_id), history, above)

        return await asyncio.to_thread(judged)

    async def _ask(self, query: str) -> tuple[Row, ...]:
        return _answered(await self._facts.instant(query))

    async def _count(self, query: str) -> int:
        rows = await self._ask(query)
        return int(rows[0].value) if rows else 0


def _answered(answer: Answer | NoAnswer) -> Answer:
    if isinstance(answer, NoAnswer):
        raise _SilentError(answer.reason)
    return answer


def _spacing(facts: SloFacts, series: Mapping[str, int], recorded: int) -> Spacing:
    return Spacing(
        series=series,
        regions=recorded or len(facts.regions_seen) or len(facts.regions_expected) or 1,
        scrape_interval_s=facts.scrape_interval_s or SCRAPE_INTERVAL_S_ASSUMED,
        left_open=facts.server.left_open,
    )


def _from_display(slo: Slo) -> ClassicHistogram:
    """The replicas' histogram for dashboards: near enough to the counts that a new threshold has not been counted by."""
    assert slo.exact is not None  # noqa: S101  # the caller has looked
    of_sli = (promql.equals(names.LABEL_JOB, names.JOB_REPLICAS), promql.equals(names.LABEL_SLI, slo.exact.sli.value))
    return ClassicHistogram(promql.selector(names.TTS_REQUEST_SECONDS, *of_sli), slo.exact.threshold_s)
