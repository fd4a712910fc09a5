"""Which series an expression reads."""

from datetime import date

import pytest

from controller.admission.reading import Read, reads_of, seconds_of
from slo_rules.compiler import compile_slos
from slo_rules.load import load_documents
from slo_rules.load_templates import template_names, template_text


@pytest.mark.parametrize(
    ("expression", "reads"),
    [
        ("vector(1)", []),
        ("a", [Read("a", 0)]),
        ('rate(a{b="}("}[2m])', [Read('a{b="}("}', 120)]),
        ("60 * sum by (slo, region) (max without (x) (rate(a[2m])))", [Read("a", 120)]),
        ("sum(a) by (x)", [Read("a", 0)]),
        ("a unless on () (b or ignoring (le) c)", [Read("a", 0), Read("b", 0), Read("c", 0)]),
        ("a * on (x) group_left (y) b offset 1m", [Read("a", 0), Read("b", 0)]),
        ('{__name__=~"a|b",c="d"} > bool 3', [Read('{__name__=~"a|b",c="d"}', 0)]),
        ("count_over_time((a == a)[2m:30s])", [Read("a", 0, 4), Read("a", 0, 4)]),
        ("x + sum_over_time((a)[2m:30s]) + y", [Read("x", 0), Read("a", 0, 4), Read("y", 0)]),
        ("histogram_fraction(-Inf, 0.3, rate(a[2m])) >= 0 or 0 * b", [Read("a", 120), Read("b", 0)]),
        ("sum_over_time(slo:events_total:inc1m[1d12h])", [Read("slo:events_total:inc1m", 129_600)]),
    ],
)
def test_selectors_are_told_from_functions_and_labels(expression: str, reads: list[Read]) -> None:
    assert list(reads_of(expression)) == reads


def test_every_compiled_rule_can_be_read() -> None:
    for name in template_names():
        for group in compile_slos(load_documents(template_text(name), source=name), ("eu",), date(2026, 1, 1)).groups:
            for rule in group.rules:
                for read in reads_of(rule.expr):
                    assert read.selector.partition("{")[0] not in {"by", "on", "sum", "rate", "vector", "unless"}


def test_durations() -> None:
    assert [seconds_of(text) for text in ("15s", "1h30m", "1d", "200ms", "10GiB", "")] == [15, 5_400, 86_400, 0.2, 0, 0]
