"""PromQL selectors: what is one, what is not, and that every spelling ends in one form."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo_rules.errors import SloError
from slo_rules.patterns import why_no_pattern
from slo_rules.promql import Matcher
from slo_rules.selectors import MATCHERS_MAX, SELECTOR_CHARS_MAX, Selector, parse_selector
from slo_rules.strings import read_go_string


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("up", "up"),
        ("  up { } ", "up"),
        ("vllm:e2e_request_latency_seconds", "vllm:e2e_request_latency_seconds"),
        ("m{ b = \"2\" , a='1', }", 'm{a="1",b="2"}'),
        ('m{a!="1",a=~"x|y",a!~"z.*",a="xy"}', 'm{a!="1",a!~"z.*",a="xy",a=~"x|y"}'),
        ('m{a="1",a="1"}', 'm{a="1"}'),
        ('{__name__="m",a="1"}', 'm{a="1"}'),
        ('{a="1",__name__=~"n|m"}', '{__name__=~"m|n",a="1"}'),
        ("m{a=`\\d\n`}", r'm{a="\\d\n"}'),
        (r'm{a="\"\\\x41\u00e9\101"}', 'm{a="\\"\\\\AéA"}'),
        ('m{a="}[5m]"}', 'm{a="}[5m]"}'),
        ('m{a=""}', 'm{a=""}'),
    ],
)
def test_every_spelling_ends_in_one_form(text, canonical):
    assert str(parse_selector(text)) == canonical
    assert str(parse_selector(canonical)) == canonical


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not exactly one metric name"),
        ("{}", "not exactly one metric name"),
        ('{a="1"}', "not exactly one metric name"),
        ('m{__name__="n"}', "not exactly one metric name"),
        ('{__name__!="m"}', "names no metric"),
        ('{__name__=~"m.*"}', "not a metric's name"),
        ('{__name__="a b"}', "not a metric's name"),
        ("sum", "not a metric's name"),
        ("Inf", "not a metric's name"),
        ("rate(m[5m])", "a function"),
        ("m[5m]", "a range"),
        ("m offset 5m", "an offset"),
        ("m @ 0", "a fixed time"),
        ("m} or vector(1)", "something follows"),
        ("m or n", "something follows"),
        ("m # comment", "something follows"),
        ("1", "something follows"),
        ('{"m", a="1"}', "label's name is missing"),
        ("m{", "label's name is missing"),
        ("m{,}", "label's name is missing"),
        ('m{a:b="1"}', "no operator"),
        ("m{a}", "no operator"),
        ("m{a==1}", "quoted string is missing"),
        ("m{a=1}", "quoted string is missing"),
        ('m{a="1}', "not closed"),
        ("m{a=`1}", "not closed"),
        ('m{a="\n"}', "line break"),
        (r'm{a="\d"}', "no escape"),
        (r'm{a="\xff"}', "no character"),
        (r'm{a="\ud800"}', "no character"),
        ('m{a="1" b="2"}', "comma"),
        ('m{a="1","b"}', "label's name is missing"),
        ('m{a="1",a="2"}', "two values"),
        ('m{a=~"["}', "does not close a class"),
        ("m" * (SELECTOR_CHARS_MAX + 1), "characters"),
        ("m{" + ",".join(f'a{n}="1"' for n in range(MATCHERS_MAX + 1)) + "}", "conditions"),
        ('{__name__=~"' + "|".join(f"m{n}" for n in range(11)) + '"}', "metrics"),
    ],
)
def test_what_is_no_selector_is_refused_with_the_reason(text, problem):
    with pytest.raises(SloError, match=problem) as caught:
        parse_selector(text)
    assert caught.value.fix


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a|b|",
        "5..",
        "tts-.*",
        "(?:a|b)+?",
        "[a-z0-9_.-]{1,3}",
        r"\d+\.\d+",
        "[^\\]]",
        "(a(b(c)))?",
        "x{3}",
        "a{2,}",
    ],
)
def test_patterns_that_mean_the_same_everywhere_pass(pattern):
    assert why_no_pattern(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("*", "repeats nothing"),
        ("a**", "repeats a repetition"),
        ("a{2}{3}", "repeats a repetition"),
        ("a|+", "repeats nothing"),
        ("(", "does not close a group"),
        (")", "did not open"),
        ("a)b", "did not open"),
        ("(?=a)", "special group"),
        ("(?P<a>b)", "special group"),
        ("(?i)a", "special group"),
        (r"(a)\1", "does not mean the same"),
        (r"\pL", "does not mean the same"),
        (r"\Qa\E", "does not mean the same"),
        ("a\\", "does not mean the same"),
        ("[", "does not close a class"),
        ("[]", "empty class"),
        ("[z-a]", "range in a class"),
        (r"[\d-z]", "range in a class"),
        ("[[:alpha:]]", "inside a class"),
        ("a{", "begins no repetition"),
        ("a{3,2}", "at least 3"),
        ("((a{11}){11}){11}", "multiplied"),
        ("(" * 20 + ")" * 20, "nests deeper"),
        ("a" * 1001, "characters"),
    ],
)
def test_patterns_that_some_engine_refuses_are_refused_here(pattern, problem):
    assert problem in why_no_pattern(pattern)


VALUES = st.text(st.characters(codec="utf-8"), max_size=12)
CONDITIONS = st.builds(
    Matcher,
    st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    VALUES,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(CONDITIONS, max_size=4))
def test_reading_what_was_written_gives_the_same_selector(conditions):
    written = str(Selector(("some:metric_total",), tuple(conditions)))
    try:
        read = parse_selector(written)
    except SloError as error:
        assert "pattern" in error.problem or "two values" in error.problem  # noqa: PT017  # nothing else may refuse it
    else:
        assert set(read.matchers) == set(conditions)
        assert parse_selector(str(read)) == read


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("mab{}[]()\"'`\\=~!,|*+?-_:5 \n\x00é"), max_size=24))
def test_no_text_ends_in_another_exception(text):
    try:
        found = parse_selector(text)
    except SloError as error:
        assert error.fix  # noqa: PT017  # both ends are fine, a third is not
    else:
        assert parse_selector(str(found)) == found


def test_a_string_ends_where_its_quote_does():
    assert read_go_string('x="a\\"b"}', 2) == ('a"b', 8)
