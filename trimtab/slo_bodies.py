"""What the controller answers about objectives, as far as the command line reads it."""

from typing import Any

from trimtab.api_bodies import Body


class Slo(Body):
    """One objective as stored."""

    id: str
    objective: float
    indicator: dict[str, Any]
    """Where its events come from, by `kind`."""
    window: dict[str, Any]
    slices: dict[str, Any] | None
    """None: events are counted, not time."""
    page_within_s: float
    description: str
    owner: str
    exclusions: tuple[dict[str, Any], ...]
    depends_on: str | None
    """None: it speaks for itself."""
    promise: str
    revision: int


class AppliedSlos(Body):
    """Objectives that were applied together."""

    items: tuple[Slo, ...]
    changed: tuple[str, ...]
    """Ids of those that were not there already, exactly like this."""


class UnhealthyRule(Body):
    """A rule that Prometheus loaded and cannot evaluate."""

    group: str
    rule: str
    error: str


class Rules(Body):
    """Whether Prometheus evaluates the objectives."""

    state: str
    revision_loaded: int | None
    """None: not known."""
    why_not: str
    unhealthy: tuple[UnhealthyRule, ...]


class SloList(Body):
    """All objectives, and how far they have got."""

    items: tuple[Slo, ...]
    revision: int
    rules: Rules
    replicas: dict[str, int]
    """Revision against which each replica counts."""


class Finding(Body):
    """One thing to know about an objective."""

    severity: str
    code: str
    field: str
    problem: str
    fix: str


class Tier(Body):
    """One pair of windows and its threshold."""

    tier: int
    severity: str
    words: str


class Cost(Body):
    """What its rules cost Prometheus."""

    rules: int
    series_read: int
    samples_per_evaluation: int
    samples_per_s: float


class Firing(Body):
    """One alert that would have fired."""

    tier: int
    severity: str
    starts_unix_s: int
    ends_unix_s: int


class Silence(Body):
    """Missing data that would have been told."""

    starts_unix_s: int
    ends_unix_s: int


class BudgetPoint(Body):
    """Share of the budget left at a moment."""

    at_unix_s: int
    left: float


class RegionBacktest(Body):
    """What one region would have gone through."""

    region: str
    events: float
    bad: float
    budget_left: float
    coverage: float
    firings: tuple[Firing, ...]
    silences: tuple[Silence, ...]
    budget: tuple[BudgetPoint, ...]


class Backtest(Body):
    """What it would have done."""

    starts_at: str
    ends_at: str
    source: str
    pages: int
    tickets: int
    regions: tuple[RegionBacktest, ...]


class Report(Body):
    """About one objective that was only tried."""

    id: str
    works: bool
    promise: str
    tiers: tuple[Tier, ...]
    findings: tuple[Finding, ...]
    regions_seen: tuple[str, ...]
    regions_expected: tuple[str, ...]
    series: int
    scrape_interval_s: float | None
    """None: not known."""
    cost: Cost | None
    """None: Prometheus could not be asked."""
    past: Backtest | None
    """None: there is no past to test it on."""


class Admission(Body):
    """The answer to a dry run."""

    works: bool
    reports: tuple[Report, ...]
    notices: tuple[Finding, ...]
