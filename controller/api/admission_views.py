"""Admission reports as they are shown: what was found, what it costs, and what it would have done."""

from pydantic import BaseModel, Field

from chassis.clock import isoformat
from controller.admission.cost import Cost
from controller.admission.findings import Finding
from controller.admission.report import Report
from controller.admission.words import promise_in_words, tier_in_words
from slo_rules.backtest import Backtest, RegionBacktest
from slo_rules.openslo.documents import Notice
from slo_rules.tiers import Tier

BUDGET_POINTS_MAX = 600
"""Per region: as many as a picture is wide."""
FIRINGS_MAX = 500
"""Per region, the newest; `pages` and `tickets` count all."""


class FindingView(BaseModel):
    """One thing to know; `code` is stable."""

    severity: str = Field(description="error: alerts would be blind or wrong as things are; warning; info")
    code: str
    field: str
    problem: str
    fix: str

    @classmethod
    def of(cls, finding: Finding) -> "FindingView":
        """From the value."""
        return cls(
            severity=finding.severity,
            code=finding.code,
            field=finding.field,
            problem=finding.problem,
            fix=finding.fix,
        )

    @classmethod
    def of_notice(cls, notice: Notice) -> "FindingView":
        """A part of the document that is accepted and not used."""
        return cls(severity="info", code="not_used", field=notice.field, problem=notice.text, fix="nothing to do")


class TierView(BaseModel):
    """One pair of windows and its threshold."""

    tier: int
    severity: str
    theta: float
    long_s: int
    short_s: int
    words: str

    @classmethod
    def of(cls, tier: Tier) -> "TierView":
        """From the value."""
        return cls(
            tier=tier.number,
            severity=tier.severity,
            theta=float(tier.theta),
            long_s=tier.long_s,
            short_s=tier.short_s,
            words=tier_in_words(tier),
        )


class CostView(BaseModel):
    """What its rules cost Prometheus."""

    rules: int
    series_read: int
    samples_per_evaluation: int
    samples_per_s: float

    @classmethod
    def of(cls, cost: Cost) -> "CostView":
        """From the value."""
        return cls(
            rules=cost.rules,
            series_read=cost.series_read,
            samples_per_evaluation=cost.samples_per_evaluation,
            samples_per_s=cost.samples_per_s,
        )


class FiringView(BaseModel):
    """One alert that would have fired."""

    tier: int
    severity: str
    starts_unix_s: int
    ends_unix_s: int


class SilenceView(BaseModel):
    """Missing data that would have been told."""

    starts_unix_s: int
    ends_unix_s: int


class BudgetPointView(BaseModel):
    """Share of the budget left at a moment."""

    at_unix_s: int
    left: float


class RegionBacktestView(BaseModel):
    """What one region would have gone through."""

    region: str
    events: float
    bad: float
    budget_left: float
    coverage: float
    firings: list[FiringView]
    silences: list[SilenceView]
    budget: list[BudgetPointView]

    @classmethod
    def of(cls, past: RegionBacktest) -> "RegionBacktestView":
        """From the value, with no more points than can be drawn; the last one is kept."""
        every = -(-len(past.budget) // BUDGET_POINTS_MAX) or 1
        shown = past.budget[::-1][::every][::-1]
        return cls(
            region=past.region,
            events=round(past.events, 3),
            bad=round(past.bad, 3),
            budget_left=past.budget_left,
            coverage=past.coverage,
            firings=[
                FiringView(tier=f.tier, severity=f.severity, starts_unix_s=f.starts_unix_s, ends_unix_s=f.ends_unix_s)
                for f in sorted(past.firings, key=lambda firing: firing.starts_unix_s)[-FIRINGS_MAX:]
            ],
            silences=[
                SilenceView(starts_unix_s=s.starts_unix_s, ends_unix_s=s.ends_unix_s)
                for s in past.silences[-FIRINGS_MAX:]
            ],
            budget=[BudgetPointView(at_unix_s=at, left=left) for at, left in shown],
        )


class BacktestView(BaseModel):
    """What it would have done."""

    starts_at: str
    ends_at: str
    source: str = Field(description="What the past was read from, when it is not what will be counted")
    pages: int
    tickets: int
    regions: list[RegionBacktestView]

    @classmethod
    def of(cls, past: Backtest, source: str) -> "BacktestView":
        """From the value."""
        return cls(
            starts_at=isoformat(past.starts_unix_s),
            ends_at=isoformat(past.ends_unix_s),
            source=source,
            pages=past.pages,
            tickets=past.tickets,
            regions=[RegionBacktestView.of(region) for region in past.regions],
        )


class ReportView(BaseModel):
    """About one objective."""

    id: str
    works: bool = Field(description="No finding is an error")
    promise: str
    tiers: list[TierView]
    findings: list[FindingView]
    regions_seen: list[str]
    regions_expected: list[str]
    series: int
    scrape_interval_s: float | None = Field(description="Of the slowest target; null: not known")
    cost: CostView | None = Field(description="null: Prometheus could not be asked")
    past: BacktestView | None = Field(description="null: there is no past to test it on")

    @classmethod
    def of(cls, report: Report) -> "ReportView":
        """From the value."""
        facts = report.facts
        return cls(
            id=report.slo.id,
            works=report.works,
            promise=promise_in_words(report.slo),
            tiers=[TierView.of(tier) for tier in report.tiers],
            findings=[FindingView.of(finding) for finding in report.findings],
            regions_seen=list(facts.regions_seen) if facts else [],
            regions_expected=list(facts.regions_expected) if facts else [],
            series=sum(source.series for source in facts.sources) if facts else 0,
            scrape_interval_s=facts.scrape_interval_s if facts else None,
            cost=CostView.of(report.cost) if report.cost else None,
            past=BacktestView.of(report.past, report.past_source) if report.past else None,
        )


class AdmissionView(BaseModel):
    """The answer to a dry run: nothing was stored."""

    works: bool
    reports: list[ReportView]
    notices: list[FindingView] = Field(description="Accepted parts of the document that are not used")
