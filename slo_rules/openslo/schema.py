"""OpenSLO v1 documents as they may look: shapes and types of all seven kinds, and nothing about what they mean.

Field names are OpenSLO's. Unknown fields are refused, because a misspelt `exclusions` that is silently dropped pages people
at night. Numbers are finite, texts are bounded and free of control characters, a number in quotes is no number.
"""

from typing import Annotated, Any, Literal
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""A DNS label, as OpenSLO asks: safe in metrics, URLs and file names."""
TEXT_CHARS_MAX = 1_050
"""OpenSLO's bound for a description, which is read on a pager."""
LINE_CHARS_MAX = 200
ANNOTATION_CHARS_MAX = 10_000
"""Fifty exclusions with their reasons."""
ENTRIES_MAX = 100
QUERY_CHARS_MAX = 2_000
_HARMFUL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Overrides of the writing direction: a text on a pager has to read as it is."""


def _printable(text: str) -> str:
    for character in text:
        if character in _HARMFUL or (category(character) in {"Cc", "Cs", "Zl", "Zp"} and character not in "\n\t"):
            raise PydanticCustomError("control_character", "has a control character")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise PydanticCustomError("line_break", "has a line break or tab")
    return text


def _label(value: object) -> object:
    words = value if isinstance(value, list) else [value]
    if not all(isinstance(word, str) for word in words):
        raise PydanticCustomError("string_type", "is neither text nor a list of texts")
    return value


def _slice_window(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise PydanticCustomError("slice_window", "is neither whole minutes nor a duration")
    return f"{value}m" if isinstance(value, int) else value


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX), AfterValidator(_printable)]
Line = Annotated[str, Field(max_length=LINE_CHARS_MAX), AfterValidator(_printable), AfterValidator(_one_line)]
Annotation = Annotated[str, Field(max_length=ANNOTATION_CHARS_MAX), AfterValidator(_printable)]
Query = Annotated[str, Field(max_length=QUERY_CHARS_MAX)]


class Shape(BaseModel):
    """A mapping with these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Metadata(Shape):
    """Of every document."""

    name: Name
    displayName: Line = ""  # noqa: N815  # OpenSLO's spelling, here and below
    labels: Annotated[dict[Line, Annotated[Any, BeforeValidator(_label)]], Field(max_length=ENTRIES_MAX)] = {}
    annotations: Annotated[dict[Line, Annotation], Field(max_length=ENTRIES_MAX)] = {}


# ── SLI ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
class QuerySpec(Shape):
    """What is read from Prometheus: counters or a gauge by `query`, a histogram by `histogram`."""

    query: Query | None = None
    histogram: Query | None = None
    native: bool | None = None


class MetricSource(Shape):
    """Where it is read: `type: Prometheus`, or a DataSource of that type."""

    metricSourceRef: Name | None = None  # noqa: N815
    type: Line | None = None
    spec: QuerySpec


class Metric(Shape):
    """One metric of an indicator."""

    metricSource: MetricSource  # noqa: N815


class RatioMetric(Shape):
    """Good or bad events among all."""

    counter: Literal[True]
    good: Metric | None = None
    bad: Metric | None = None
    total: Metric


class SliSpec(Shape):
    """What is measured."""

    description: Text = ""
    thresholdMetric: Metric | None = None  # noqa: N815
    ratioMetric: RatioMetric | None = None  # noqa: N815


class InlineSli(Shape):
    """An SLI inside its SLO."""

    metadata: Metadata
    spec: SliSpec


class SliDocument(InlineSli):
    """`kind: SLI`."""

    apiVersion: Literal["openslo/v1"]  # noqa: N815
    kind: Literal["SLI"]


# ── alerting ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Condition(Shape):
    """When somebody else's engine would alert."""

    kind: Literal["burnrate"] = "burnrate"
    op: Literal["lte", "gte", "lt", "gt"] | None = None
    threshold: float
    lookbackWindow: Line  # noqa: N815
    alertAfter: Line = "0m"  # noqa: N815


class ConditionSpec(Shape):
    """Of an AlertCondition."""

    description: Text = ""
    severity: Line
    condition: Condition


class ConditionUse(Shape):
    """A condition by name, or inline."""

    conditionRef: Name | None = None  # noqa: N815
    kind: Literal["AlertCondition"] | None = None
    metadata: Metadata | None = None
    spec: ConditionSpec | None = None


class TargetSpec(Shape):
    """Of an AlertNotificationTarget."""

    description: Text = ""
    target: Line


class TargetUse(Shape):
    """A target by name, or inline."""

    targetRef: Name | None = None  # noqa: N815
    kind: Literal["AlertNotificationTarget"] | None = None
    metadata: Metadata | None = None
    spec: TargetSpec | None = None


class PolicySpec(Shape):
    """Of an AlertPolicy."""

    description: Text = ""
    alertWhenNoData: Literal[True] | None = None  # noqa: N815
    alertWhenResolved: bool | None = None  # noqa: N815
    alertWhenBreaching: Literal[True] | None = None  # noqa: N815
    conditions: Annotated[list[ConditionUse], Field(min_length=1, max_length=1)]
    notificationTargets: Annotated[list[TargetUse], Field(max_length=ENTRIES_MAX)] = []  # noqa: N815


class PolicyUse(Shape):
    """A policy by name, or inline."""

    alertPolicyRef: Name | None = None  # noqa: N815
    kind: Literal["AlertPolicy"] | None = None
    metadata: Metadata | None = None
    spec: PolicySpec | None = None


# ── SLO ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
class Calendar(Shape):
    """Where calendar periods begin."""

    startTime: Line  # noqa: N815
    timeZone: Line  # noqa: N815


class TimeWindow(Shape):
    """Rolling, or aligned with the calendar."""

    duration: Line
    isRolling: bool | None = None  # noqa: N815
    calendar: Calendar | None = None


class Objective(Shape):
    """What is promised."""

    displayName: Line = ""  # noqa: N815
    op: Literal["lte", "gte", "lt", "gt"] | None = None
    value: float | None = None
    target: float | None = None
    targetPercent: float | None = None  # noqa: N815
    timeSliceTarget: float | None = None  # noqa: N815
    timeSliceWindow: Annotated[Line | None, BeforeValidator(_slice_window)] = None  # noqa: N815


class SloSpec(Shape):
    """Of an SLO."""

    description: Text = ""
    service: Line = ""
    indicator: InlineSli | None = None
    indicatorRef: Name | None = None  # noqa: N815
    budgetingMethod: Literal["Occurrences", "Timeslices"] = "Occurrences"  # noqa: N815
    timeWindow: Annotated[list[TimeWindow], Field(max_length=1)] = []  # noqa: N815
    objectives: Annotated[list[Objective], Field(min_length=1, max_length=1)]
    alertPolicies: Annotated[list[PolicyUse], Field(max_length=ENTRIES_MAX)] = []  # noqa: N815


class SloDocument(Shape):
    """`kind: SLO`."""

    apiVersion: Literal["openslo/v1"]  # noqa: N815
    kind: Literal["SLO"]
    metadata: Metadata
    spec: SloSpec


# ── the rest ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class DataSourceSpec(Shape):
    """How somebody's engine would connect."""

    description: Text = ""
    type: Line
    connectionDetails: Any = None  # noqa: N815


class DataSourceDocument(Shape):
    """`kind: DataSource`."""

    apiVersion: Literal["openslo/v1"]  # noqa: N815
    kind: Literal["DataSource"]
    metadata: Metadata
    spec: DataSourceSpec


class ServiceSpec(Shape):
    """Of a Service."""

    description: Text = ""


class ServiceDocument(Shape):
    """`kind: Service`."""

    apiVersion: Literal["openslo/v1"]  # noqa: N815
    kind: Literal["Service"]
    metadata: Metadata
    spec: ServiceSpec = ServiceSpec()


class ConditionDocument(Shape):
    """`kind: AlertCondition`."""

    apiVersion: Literal["openslo/v1"]  # noqa: N815
    kind: Literal["AlertCondition"]
    metadata: Metadata
    spec: ConditionSpec


class TargetDocument(Shape):
    """`kind: AlertNotificationTarget`."""

    apiVersion: Literal["openslo/v1"]  # noqa: N815
    kind: Literal["AlertNotificationTarget"]
    metadata: Metadata
    spec: TargetSpec


class PolicyDocument(Shape):
    """`kind: AlertPolicy`."""

    apiVersion: Literal["openslo/v1"]  # noqa: N815
    kind: Literal["AlertPolicy"]
    metadata: Metadata
    spec: PolicySpec


Document = (
    SloDocument
    | SliDocument
    | ServiceDocument
    | DataSourceDocument
    | PolicyDocument
    | ConditionDocument
    | TargetDocument
)
KINDS: dict[str, type[Document]] = {
    "SLO": SloDocument,
    "SLI": SliDocument,
    "Service": ServiceDocument,
    "DataSource": DataSourceDocument,
    "AlertPolicy": PolicyDocument,
    "AlertCondition": ConditionDocument,
    "AlertNotificationTarget": TargetDocument,
}
"""Model of every kind of document."""
