"""import(export(slo)) == slo, whatever it is about; and what a document cannot say is refused instead of being changed."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from contracts.vocabulary import SliKind, SloId
from slo_rules.errors import SloError
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    NativeHistogram,
    Part,
)
from slo_rules.load import load_documents
from slo_rules.model import Slo
from slo_rules.openslo.export import document_of, export
from slo_rules.openslo.reader import decode, encode
from slo_rules.promql import Matcher
from slo_rules.selectors import Selector, parse_selector
from slo_rules.tiers import derive_tiers
from slo_rules.windows import (
    CalendarUnit,
    CalendarWindow,
    Exclusion,
    RollingWindow,
    Slices,
    Weekday,
    WeeklyExclusion,
)

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).map(SloId)
TRICKY = [
    "no",
    "~",
    "1e5",
    "2026-08-01",
    "12:30",
    ": ",
    "# x",
    "a\nb",
    " a ",
    "{{ $value }}",
    '"',
    "'",
    "é…",
    "0x10",
    "=",
]
TEXTS = st.sampled_from(TRICKY) | st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"]), max_size=40)
LINES = TEXTS.map(lambda text: " ".join(text.split()))
MATCHERS = st.builds(
    Matcher, st.from_regex(r"[a-k][a-z0-9_]{0,8}", fullmatch=True), st.sampled_from(["=", "!="]), TEXTS
)


def canonical(metric: str, matchers: list[Matcher]) -> str:
    one_per_label = {matcher.label: matcher for matcher in matchers}
    return str(parse_selector(str(Selector((metric,), tuple(one_per_label.values())))))


def selectors(*metrics: str):
    return st.builds(canonical, st.sampled_from(metrics), st.lists(MATCHERS, max_size=3))


THRESHOLDS = st.integers(1, 3_600_000_000).map(lambda micros: micros / 1_000_000)
COUNTERS = st.builds(ExactCounters, THRESHOLDS, st.sampled_from(SliKind))
HISTOGRAMS = st.builds(
    lambda make, selector, threshold: make(selector, threshold),
    st.sampled_from([ClassicHistogram, NativeHistogram]),
    selectors("request_seconds", "vllm:ttft"),
    st.floats(1e-9, 3_600_000.0),
)
RATIOS = st.builds(
    lambda total, part, good: EventRatio(total, good=part) if good else EventRatio(total, bad=part),
    selectors("requests_total") | st.just('{__name__=~"failed_total|ok_total",a="b"}'),
    selectors("failures_total"),
    st.booleans(),
)
GAUGES = st.builds(
    GaugeBound,
    selectors("queue_seconds"),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["lt", "lte", "gt", "gte"]),
)
PARTS = st.builds(Part, NAMES, st.integers(1, 1_000_000).map(lambda thousandths: thousandths / 1_000))
COMPOSITES = st.lists(PARTS, min_size=2, max_size=5, unique_by=lambda part: part.slo).map(
    lambda parts: Composite(tuple(parts))
)
WINDOWS = st.builds(RollingWindow, st.integers(3_600, 366 * 86_400)) | st.builds(
    CalendarWindow, st.sampled_from(CalendarUnit), st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])
)
SLICES = st.builds(Slices, st.sampled_from([60, 120, 300, 600, 3600]), st.floats(0.01, 1.0))
EXCLUSIONS = st.builds(
    lambda start, length, reason: Exclusion(start, start + length, reason),
    st.integers(0, 4_000_000_000),
    st.integers(1, 7 * 86_400),
    LINES,
) | st.builds(
    WeeklyExclusion,
    st.sampled_from(Weekday),
    st.integers(0, 719),
    st.integers(720, 1440),
    LINES,
)


@st.composite
def slos(draw) -> Slo:
    """Any SLO whose alerts could fire."""
    indicator = draw(st.one_of(COUNTERS, HISTOGRAMS, RATIOS, GAUGES, COMPOSITES))
    sliced = isinstance(indicator, GaugeBound) or (not isinstance(indicator, Composite) and draw(st.booleans()))
    name = draw(NAMES)
    parent = draw(st.none() | NAMES)
    assume(parent != name and not (isinstance(indicator, Composite) and name in {p.slo for p in indicator.parts}))
    made = Slo(
        id=name,
        objective=draw(st.integers(5_000, 9_999)) / 10_000,
        indicator=indicator,
        window=draw(WINDOWS),
        slices=draw(SLICES) if sliced else None,
        page_within_s=draw(st.sampled_from([480.0]) | st.integers(300_000, 3_600_000).map(lambda ms: ms / 1_000)),
        description=draw(TEXTS),
        owner=draw(LINES),
        exclusions=tuple(draw(st.lists(EXCLUSIONS, max_size=3))),
        depends_on=parent,
    )
    try:
        derive_tiers(made)
    except SloError:
        assume(False)
    return made


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(slos(), min_size=1, max_size=2, unique_by=lambda slo: slo.id))
def test_reading_what_was_written_gives_the_same_slos(written):
    text = export(written)
    assert load_documents(text, source="exported") == tuple(written)
    assert export(load_documents(text, source="exported")) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab<1-", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(JSON.filter(lambda value: value is not None))
def test_yaml_that_we_write_is_read_as_the_same_values(value):
    try:
        (read,) = decode(encode([value]), "x")
    except SloError as error:
        assert "has the key" in error.problem  # noqa: PT017  # such as <<, which documents do not have
    else:
        assert read.value == value


BASE = Slo(SloId("speech"), 0.95, ExactCounters(0.2))


@pytest.mark.parametrize(
    "unsayable",
    [
        replace(BASE, id=SloId("Not A Label")),
        replace(BASE, description="a\x07"),
        replace(BASE, description="x" * 2_000),
        replace(BASE, owner="a\nb"),
        replace(BASE, indicator=EventRatio('a{ b = "c" }', bad="b")),
        replace(BASE, exclusions=(Exclusion(0, 60, "a\nb"),)),
        replace(BASE, page_within_s=float("inf")),
    ],
    ids=lambda slo: str(slo)[:60],
)
def test_what_a_document_cannot_say_is_refused_and_not_changed(unsayable):
    with pytest.raises(SloError, match="cannot be written") as caught:
        document_of(unsayable)
    assert caught.value.field == f"slos[{unsayable.id}]"
