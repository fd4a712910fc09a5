"""What must hold between SLOs: parts that exist and fit, parents without circles, ids that differ."""

import pytest

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.indicators import Composite, ExactCounters, Part
from slo_rules.model import Slo
from slo_rules.rules.events import events_of
from slo_rules.together import SLOS_MAX, ancestors, check_together
from slo_rules.windows import Slices


def slo(name: str, *parts: str, **fields) -> Slo:
    indicator = Composite(tuple(Part(SloId(part)) for part in parts)) if parts else ExactCounters(0.2)
    return Slo(SloId(name), 0.95, indicator, **fields)


@pytest.mark.parametrize(
    ("slos", "field", "problem"),
    [
        ((slo("a"), slo("a")), "id", "appears twice"),
        (tuple(slo(f"s{index}") for index in range(SLOS_MAX + 1)), "slos", "more than 1000"),
        ((slo("a"), slo("x", "a", "b")), "parts", "b is no SLO here"),
        ((slo("a"), slo("b"), slo("x", "a", "b"), slo("y", "a", "x")), "parts", "x is a composite itself"),
        ((slo("a"), slo("b", slices=Slices()), slo("x", "a", "b")), "parts", "count different things"),
        ((slo("a", slices=Slices(300)), slo("b", slices=Slices()), slo("x", "a", "b")), "parts", "different things"),
        ((slo("a", depends_on="b"),), "depends_on", "b is no SLO here"),
        ((slo("a", depends_on="b"), slo("b", depends_on="a")), "depends_on", "a → b → a is a circle"),
        (
            (slo("a", depends_on="b"), slo("b", depends_on="c"), slo("c", depends_on="b")),
            "depends_on",
            "b → c → b is a circle",
        ),
    ],
)
def test_a_set_that_cannot_be_is_refused_with_the_field(slos, field, problem):
    with pytest.raises(SloError) as caught:
        check_together(slos)
    assert caught.value.field == field
    assert problem in caught.value.problem
    assert caught.value.fix


def test_parts_of_one_kind_and_chains_that_end_are_fine():
    sliced = (slo("a", slices=Slices()), slo("b", slices=Slices(60, 0.5)), slo("x", "a", "b"))
    chain = (slo("d", depends_on="e"), slo("e", depends_on="f"), slo("f"))
    by_id = check_together((*sliced, *chain))
    assert set(by_id) == {"a", "b", "x", "d", "e", "f"}
    assert ancestors(by_id[SloId("d")], by_id) == ("e", "f")


def test_the_events_of_a_composite_need_its_parts():
    with pytest.raises(SloError) as caught:
        events_of(slo("x", "a", "b"), {})
    assert caught.value.field == "parts"
