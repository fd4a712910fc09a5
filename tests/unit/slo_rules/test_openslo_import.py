"""What OpenSLO documents mean: every way to say what is good, over which time, and what is accepted without effect."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from slo_rules.openslo.documents import parse_document, parse_set
from slo_rules.openslo.reader import Decoded, decode
from slo_rules.promql import Matcher, rate
from slo_rules.selectors import Selector, parse_selector
from slo_rules.windows import CalendarUnit, CalendarWindow, Exclusion, RollingWindow, Slices, Weekday, WeeklyExclusion
from tests.unit.slo_rules.openslo_documents import (
    BY_REFERENCE,
    COMPOSITE,
    EXACT,
    GAUGE,
    INLINE_RATIO,
    SOURCE,
    TTFT,
    VALID_SET,
    changed,
    document,
    prometheus,
    slo,
)


def read(*documents: dict):
    return parse_set(Decoded(f"s[{index}]", value) for index, value in enumerate(documents))


def by_name(*documents: dict):
    return {str(found.id): found for found in read(*documents).slos}


def test_a_set_gives_its_slos_in_order_with_their_places():
    found = read(*VALID_SET)
    assert [slo.id for slo in found.slos] == ["exact", "ratio", "first-token", "queue", "monthly", "whole"]
    assert (found.places["exact"], found.places["whole"]) == ("s[0]", "s[5]")


def test_annotations_say_what_openslo_has_no_field_for():
    exact = by_name(*VALID_SET)["exact"]
    assert exact.indicator == ExactCounters(0.2)
    assert (exact.page_within_s, exact.owner, exact.depends_on) == (480.0, "speech", "ratio")
    assert exact.exclusions == (
        Exclusion(1_785_549_600, 1_785_556_800, "upgrade"),
        WeeklyExclusion(Weekday.SUNDAY, 120, 210, "backups"),
    )


@pytest.mark.parametrize(
    ("documents", "indicator"),
    [
        ((INLINE_RATIO,), EventRatio(total="http_requests_total", bad='http_requests_total{code=~"5.."}')),
        ((TTFT, BY_REFERENCE, SOURCE), NativeHistogram("vllm:ttft_seconds", 0.5)),
        ((GAUGE,), GaugeBound("queue_seconds", 3.0, "lt")),
        ((COMPOSITE,), Composite((Part("exact", 2.0), Part("ratio", 1.0)))),
    ],
    ids=["counters", "histogram by reference", "gauge", "composite"],
)
def test_every_source_is_an_indicator(documents, indicator):
    documents = [changed(d, "spec.alertPolicies", []) if d is BY_REFERENCE else d for d in documents]
    (found,) = read(*documents).slos
    assert found.indicator == indicator


def test_a_classic_histogram_is_meant_unless_native_is_said():
    classic = changed(TTFT, "spec.thresholdMetric.metricSource.spec", {"histogram": 'h{ a = "b" }'})
    (found,) = read(classic, SOURCE, changed(BY_REFERENCE, "spec.alertPolicies", [])).slos
    assert found.indicator == ClassicHistogram('h{a="b"}', 0.5)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"duration": "4w", "isRolling": True}, RollingWindow(28 * 86_400)),
        ({"duration": "36h", "isRolling": True}, RollingWindow(36 * 3_600)),
        *(
            (
                {"duration": duration, "calendar": {"startTime": start, "timeZone": "America/New_York"}},
                CalendarWindow(unit, "America/New_York"),
            )
            for duration, start, unit in (
                ("1d", "2026-08-19 00:00:00", CalendarUnit.DAY),
                ("1w", "2026-08-17 00:00:00", CalendarUnit.WEEK),
                ("1M", "2026-08-01 00:00:00", CalendarUnit.MONTH),
                ("1Q", "2026-07-01 00:00:00", CalendarUnit.QUARTER),
                ("1Y", "2026-01-01 00:00:00", CalendarUnit.YEAR),
            )
        ),
    ],
)
def test_windows_roll_or_follow_the_calendar(window, expected):
    (found,) = read(changed(EXACT, "spec.timeWindow", [window])).slos
    assert found.window == expected


@pytest.mark.parametrize(
    ("duration", "start"),
    [
        ("1d", "2026-08-19 00:00:01"),
        ("1w", "2026-08-18 00:00:00"),
        ("1M", "2026-08-02 00:00:00"),
        ("1Q", "2026-08-01 00:00:00"),
        ("1Y", "2026-07-01 00:00:00"),
    ],
)
def test_a_period_cannot_begin_in_the_middle(duration, start):
    window = {"duration": duration, "calendar": {"startTime": start, "timeZone": "UTC"}}
    with pytest.raises(SloError, match="begins at") as caught:
        read(changed(EXACT, "spec.timeWindow", [window]))
    assert caught.value.field == "s[0].spec.timeWindow[0].calendar.startTime"


@pytest.mark.parametrize(("written", "seconds"), [("1m", 60), (5, 300), ("600s", 600), ("1h", 3_600)])
def test_a_slice_is_minutes_or_a_duration(written, seconds):
    (found,) = read(changed(GAUGE, "spec.objectives.0.timeSliceWindow", written)).slos
    assert found.slices == Slices(seconds, 0.95)


@pytest.mark.parametrize(("percent", "ratio"), [(99.9, 0.999), (99.99, 0.9999), (95, 0.95), (66.6, 0.666)])
def test_a_percentage_is_an_exact_ratio(percent, ratio):
    written = slo("s", annotations={"trimtab/threshold": "1s", "trimtab/page-within": "6m"})
    (found,) = read(changed(written, "spec.objectives", [{"targetPercent": percent}])).slos
    assert found.objective == ratio


def test_what_belongs_to_others_is_let_alone():
    annotations = {**EXACT["metadata"]["annotations"], "openslo.com/folder": "x", "plain": "y"}
    (found,) = read(changed(EXACT, "metadata.annotations", annotations)).slos
    assert found == read(EXACT).slos[0]


def test_what_is_accepted_without_effect_is_said():
    labelled = changed(INLINE_RATIO, "metadata.labels", {"team": ["a", "b"]})
    compared = changed(labelled, "spec.objectives.0.op", "gt")
    found = read(compared, *(valid for valid in VALID_SET if valid is not INLINE_RATIO))
    assert [notice.field for notice in found.notices] == [
        "s[0].metadata.labels",
        "s[0].spec.objectives[0].op",
        "s[7].spec.connectionDetails",
        "s[9].spec.alertWhenResolved",
        "s[10].spec.condition",
        "s[11].spec",
    ]
    assert all(notice.text.startswith("not used") for notice in found.notices)


def test_a_fault_in_an_indicator_is_told_there_and_once():
    with pytest.raises(SloError) as caught:
        read(
            changed(TTFT, "spec.thresholdMetric.metricSource.spec.histogram", "rate(x[5m])"),
            *VALID_SET[:6],
            *VALID_SET[7:],
        )
    assert caught.value.field == "s[0].spec.thresholdMetric.metricSource.spec.histogram"


def test_one_decoded_document_is_one_slo():
    assert parse_document(EXACT) == read(EXACT).slos[0]
    with pytest.raises(SloError, match="is not SLO"):
        parse_document(SOURCE)
    with pytest.raises(SloError) as caught:
        parse_document(changed(EXACT, "spec.objectives.0.target", 95))
    assert caught.value.field == "spec.objectives[0].target"


@pytest.mark.parametrize(
    "value", [None, 10**400, -(10**400), object(), {1: 2}, {"kind": None}, {"kind": "SLO", 1: 2}, b"x"]
)
def test_values_that_no_text_can_hold_are_refused_too(value):
    for broken in (value, changed(EXACT, "spec", {"objectives": value}), changed(EXACT, "metadata", {"name": value})):
        with pytest.raises(SloError):
            parse_document(broken)
    if value is not None:
        with pytest.raises(SloError):
            parse_document(changed(EXACT, "spec.objectives.0.target", value))


def test_an_alias_repeats_what_was_said_before():
    text = "a: &a {b: [1, c]}\nd: *a\n"
    assert decode(text, "x")[0].value == {"a": {"b": [1, "c"]}, "d": {"b": [1, "c"]}}


def test_a_thousand_documents_are_read():
    text = "\n---\n".join(
        f"{{apiVersion: openslo/v1, kind: SLO, metadata: {{name: s-{n}, annotations: {{trimtab/threshold: 1s}}}},"
        " spec: {objectives: [{target: 0.95}]}}"
        for n in range(1_000)
    )
    assert len(load_documents(text, source="many.yaml")) == 1_000


ALPHABET = st.sampled_from(
    [
        *"{}[]:,-?&*!|>%@`\"'#\n\t ~<=0a1.e+\x00\x85\ufeff\u2028",
        "kind",
        "SLO",
        "openslo/v1",
        "- ",
        ": ",
        "---\n",
        "<<: *a",
        "&a ",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ALPHABET, max_size=40).map("".join))
def test_no_text_ends_in_another_exception(text):
    with pytest.raises(SloError) as caught:
        load_documents(text, source="x")
    assert caught.value.field.startswith("x")
    assert caught.value.fix


VALUES = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["a|b", "5..", "[a-z]+", r"\d{2}", r"a\.b", "(?:x|y)?"]
)
CONDITIONS = st.builds(
    Matcher, st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), st.sampled_from(["=", "!=", "=~", "!~"]), VALUES
)


@pytest.mark.prometheus
def test_prometheus_reads_every_selector_that_we_accept(tmp_path):
    """One rule file with hundreds of generated selectors: promtool parses each as we do, or this fails."""
    accepted: set[str] = {'{__name__=~"a_total|b_total",c="d"}', "a:b:c"}

    @settings(max_examples=300, deadline=None, database=None)
    @given(st.lists(CONDITIONS, max_size=3))
    def generate(conditions):
        try:
            accepted.add(str(parse_selector(str(Selector(("some:metric_total",), tuple(conditions))))))
        except SloError:
            return

    generate()
    assert len(accepted) > 100
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "groups:\n- name: g\n  rules:\n"
        + "".join(f"  - {{record: r{n}, expr: {yaml_text(rate(s, '2m'))}}}\n" for n, s in enumerate(sorted(accepted)))
    )
    judged = subprocess.run(
        ["promtool", "check", "rules", str(rules)], capture_output=True, text=True, timeout=60, check=False
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert f"{len(accepted)} rules found" in judged.stdout


def yaml_text(text: str) -> str:
    """As a single-quoted or escaped scalar in one line."""
    escaped = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text)
    return f'"{escaped}"'


def test_documents_of_all_kinds_may_be_alone():
    for kind, spec in (
        ("Service", {}),
        ("SLI", {"ratioMetric": {"counter": True, "good": prometheus(query="a"), "total": prometheus(query="b")}}),
    ):
        assert read(document(kind, "alone", spec)).slos == ()
