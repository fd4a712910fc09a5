"""Objectives as they are asked for and shown: the whole of `Slo`, and what became of the set."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from contracts.vocabulary import SliKind, SloId
from controller.api import slo_bodies as bodies
from controller.rules_ports import RulesState
from controller.slo_store import StoredSlo
from slo_rules import windows
from slo_rules.errors import SloError
from slo_rules.indicators import ExactCounters
from slo_rules.indicators import Indicator as IndicatorValue
from slo_rules.model import EXCLUSIONS_MAX, PAGE_WITHIN_S_DEFAULT, Slo
from slo_rules.words.promise import promise_of

EXAMPLE_ID = "speech-fast"
EXAMPLE: JsonDict = {
    "objective": 0.95,
    "threshold_s": 0.2,
    "sli": "first_audio",
    "window_s": windows.WINDOW_S_DEFAULT,
    "page_within_s": PAGE_WITHIN_S_DEFAULT,
    "description": "95 % of requests start to sound within 200 ms",
    "owner": "speech",
}
FOREIGN: JsonDict = {
    "objective": 0.99,
    "indicator": {"kind": "classic_histogram", "selector": "vllm:time_to_first_token_seconds", "threshold": 0.5},
    "window": {"kind": "calendar", "unit": "month", "time_zone": "Europe/Berlin"},
}


class SloFields(BaseModel):
    """Everything about an objective but its id. `threshold_s`, `sli` and `window_s` are short for `indicator` and `window`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE, FOREIGN]})

    objective: float = Field(description="Share of good events wanted: 0.95, never 95")
    indicator: bodies.Indicator | None = Field(None, description="Where the events come from")
    threshold_s: float | None = Field(None, description="Short for an indicator of kind exact_counters")
    sli: SliKind | None = Field(None, description="What `threshold_s` is about; total unless said otherwise")
    window: bodies.Window | None = None
    window_s: int | None = Field(None, description="Short for a rolling window; 30 days unless said otherwise")
    slices: bodies.Slices | None = None
    page_within_s: float = Field(PAGE_WITHIN_S_DEFAULT, description="Wanted time to page when every event is bad")
    description: bodies.Text = ""
    owner: bodies.Text = ""
    exclusions: Annotated[list[bodies.AnyExclusion], Field(max_length=EXCLUSIONS_MAX)] = []
    depends_on: bodies.Name | None = Field(None, description="While that one burns, this one pages nobody")

    def to_slo(self, slo: str) -> Slo:
        """The objective, valid by itself; raises `SloError` with the field of this body."""
        return Slo(
            id=SloId(slo),
            objective=self.objective,
            indicator=self._indicator(),
            window=self._window(),
            slices=bodies.slices_of(self.slices) if self.slices is not None else None,
            page_within_s=self.page_within_s,
            description=self.description,
            owner=self.owner,
            exclusions=tuple(bodies.exclusion_of(body, at) for at, body in enumerate(self.exclusions)),
            depends_on=SloId(self.depends_on) if self.depends_on is not None else None,
        )

    def _indicator(self) -> IndicatorValue:
        if self.indicator is not None:
            for field in ("threshold_s", "sli"):
                if getattr(self, field) is not None:
                    raise SloError(field, "it is short for an indicator, which is there too", "remove one of them")
            return bodies.indicator_of(self.indicator)
        if self.threshold_s is None:
            raise SloError(
                "threshold_s", "there is no indicator", "write threshold_s in seconds, or an indicator with its kind"
            )
        return ExactCounters(self.threshold_s, self.sli or SliKind.TOTAL)

    def _window(self) -> windows.Window:
        if self.window is None:
            return windows.RollingWindow(windows.WINDOW_S_DEFAULT if self.window_s is None else self.window_s)
        if self.window_s is not None:
            raise SloError("window_s", "it is short for a window, which is there too", "remove one of them")
        return bodies.window_of(self.window)


class NewSlo(SloFields):
    """An objective to create."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"id": EXAMPLE_ID, **EXAMPLE}, {"id": "ttft", **FOREIGN}]}
    )

    id: bodies.Name


class SloView(BaseModel):
    """An objective as stored, in full, and again in the short form for those who know no other."""

    id: str
    objective: float
    indicator: bodies.Indicator
    window: bodies.Window
    slices: bodies.Slices | None
    page_within_s: float
    description: str
    owner: str
    exclusions: list[bodies.AnyExclusion]
    depends_on: str | None
    threshold_s: float | None = Field(description="As in `indicator` of kind exact_counters; null: of another kind")
    sli: str | None = Field(description="The same")
    window_s: int | None = Field(description="As in `window` of kind rolling; null: of another kind")
    promise: str = Field(description="What makes an event a good one, in words")
    revision: int = Field(description="Revision of the whole set at which this objective last changed; its ETag")

    @classmethod
    def of(cls, stored: StoredSlo) -> "SloView":
        """From the store's value."""
        slo = stored.slo
        slices = bodies.Slices(seconds=slo.slices.seconds, target=slo.slices.target) if slo.slices else None
        return cls(
            id=slo.id,
            objective=slo.objective,
            indicator=bodies.indicator_body(slo.indicator),
            window=bodies.window_body(slo.window),
            slices=slices,
            page_within_s=slo.page_within_s,
            description=slo.description,
            owner=slo.owner,
            exclusions=[bodies.exclusion_body(exclusion) for exclusion in slo.exclusions],
            depends_on=slo.depends_on,
            threshold_s=slo.exact.threshold_s if slo.exact else None,
            sli=slo.exact.sli if slo.exact else None,
            window_s=slo.window.seconds if isinstance(slo.window, windows.RollingWindow) else None,
            promise=promise_of(slo),
            revision=stored.revision,
        )


class AppliedSlos(BaseModel):
    """Objectives that were applied together."""

    items: list[SloView]
    changed: list[str] = Field(description="Ids of those that were not there already, exactly like this")


class UnhealthyRuleView(BaseModel):
    """A rule that Prometheus loaded and cannot evaluate."""

    group: str
    rule: str
    error: str


class RulesView(BaseModel):
    """Whether Prometheus evaluates this set."""

    state: str = Field(description="in_step, behind, refused, unknown, standby or not_ours")
    revision_loaded: int | None = Field(description="Revision of the set that Prometheus runs; null: not known")
    why_not: str = Field(description="Empty when it runs the wanted revision")
    unhealthy: list[UnhealthyRuleView]

    @classmethod
    def of(cls, state: RulesState) -> "RulesView":
        """From the value."""
        return cls(
            state=state.state,
            revision_loaded=state.revision_loaded,
            why_not=state.why_not,
            unhealthy=[UnhealthyRuleView(group=u.group, rule=u.rule, error=u.error) for u in state.unhealthy],
        )


class SloList(BaseModel):
    """All objectives, and how far they have got."""

    items: list[SloView]
    revision: int
    rules: RulesView
    replicas: dict[str, int] = Field(description="Revision against which each replica counts, by replica")
