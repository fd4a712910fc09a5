"""PromQL text: exact numbers, escaped strings, canonical durations."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo_rules import promql


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.05"), "0.05"),
        (1 - Decimal("0.95"), "0.05"),
        (Decimal("0.50"), "0.5"),
        (0.2, "0.2"),
        (1e-7, "0.0000001"),
        (Decimal("1E+3"), "1000"),
        (100, "100"),
        (0, "0"),
        (-2.5, "-2.5"),
    ],
)
def test_a_number_has_every_digit_and_none_more(value, text):
    assert promql.number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_reads_back_as_itself(value):
    assert float(promql.number(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, Decimal("NaN")])
def test_what_is_not_a_number_is_refused(value):
    with pytest.raises(ValueError, match="cannot write"):
        promql.number(value)


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1s"), (60, "1m"), (90, "1m30s"), (5400, "1h30m"), (86_400, "1d"), (2_592_000, "30d")]
)
def test_a_duration_uses_the_largest_units(seconds, text):
    assert promql.duration(seconds) == text


@pytest.mark.parametrize("seconds", [0, -60])
def test_a_duration_that_selects_nothing_is_refused(seconds):
    with pytest.raises(ValueError, match="selects nothing"):
        promql.duration(seconds)


@pytest.mark.parametrize(
    ("value", "quoted"), [("eu-west", '"eu-west"'), ('a"b', r'"a\"b"'), ("a\\b", r'"a\\b"'), ("a\nb", r'"a\nb"')]
)
def test_a_label_value_cannot_leave_its_quotes(value, quoted):
    assert promql.quote(value) == quoted


def test_a_selector_without_matchers_has_no_braces():
    assert promql.selector("up") == "up"
    assert promql.selector("up", promql.equals("job", "a"), promql.matches("host", "b.*")) == 'up{job="a",host=~"b.*"}'


def test_a_quantile_keeps_the_bucket_bound():
    expression = promql.quantile(0.95, "h_bucket", ("region",), "5m")
    assert expression == "histogram_quantile(0.95, sum by (le, region) (rate(h_bucket[5m])))"
