"""Who is let in: examples, and laws that no sequence of requests may break."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import FULL_FP32
from serving.core.admission import SCALE_MAX, Admit, Ask, CostModel, Fit, Limits, Line, Load, Refuse, TooLong, decide

CARD = Line(a_s=0.02, b_s=0.0045)
FIRST = Line(a_s=0.027, b_s=0.00125)
COST = CostModel(FULL_FP32.id, Fit(FIRST), Fit(CARD))
LIMITS = Limits(first_audio_budget_s=0.5, total_budget_s=2.0, in_flight_max=8)
IDLE = Load(workers=1, in_flight=0, urgent_work_s=0.0, work_s=0.0)
observations = st.lists(st.tuples(st.floats(1, 4096), st.floats(0.001, 60)), max_size=40)


def ask(chars: float = 60, *, streaming: bool = True) -> Ask:
    return Ask(chars=chars, first_chars=min(chars, 120), streaming=streaming)


@pytest.mark.parametrize(
    ("what", "asked", "load", "admitted"),
    [
        ("an idle replica takes a sentence", ask(), IDLE, True),
        ("an idle replica takes even a text too long for its budget", ask(2048, streaming=False), IDLE, True),
        ("the same text is refused once something waits", ask(2048, streaming=False), Load(1, 1, 0, 0.1), False),
        ("first audio behind a full second of first work is late", ask(), Load(1, 3, 1.0, 1.0), False),
        ("two workers halve the wait", ask(), Load(2, 3, 0.7, 0.7), True),
        ("a stream may end late as long as it plays on", ask(1200), Load(1, 1, 0.0, 1.0), True),
        ("a whole response may not", ask(1200, streaming=False), Load(1, 1, 0.0, 1.0), False),
        ("the in-flight limit holds whatever the prediction", ask(1), Load(64, 8, 0.0, 0.0), False),
    ],
)
def test_admission(what: str, asked: Ask, load: Load, admitted: bool):
    assert isinstance(decide(asked, load, COST, LIMITS), Admit) is admitted, what


def test_a_refusal_names_its_reason_and_when_to_return():
    verdict = decide(ask(), Load(1, 5, 4.2, 4.2), COST, LIMITS)
    assert isinstance(verdict, Refuse)
    assert "first audio" in verdict.reason
    assert 3.0 <= verdict.retry_after_s <= 5.0


@given(observations, st.floats(1, 4096), st.floats(1, 4096))
def test_a_longer_text_never_costs_less(seen: list[tuple[float, float]], one: float, other: float):
    fit = Fit(CARD)
    for chars, seconds in seen:
        fit = fit.observed(chars, seconds)
    short, long = sorted((one, other))
    assert 0 < fit.line.at(short) <= fit.line.at(long)


@given(observations, st.floats(1, 4096))
def test_no_history_moves_the_prediction_beyond_its_bounds(seen: list[tuple[float, float]], chars: float):
    fit = Fit(CARD)
    for length, seconds in seen:
        fit = fit.observed(length, seconds)
    assert fit.line.at(chars) <= 4 * SCALE_MAX * (CARD.at(chars) + CARD.at(120)), "bounded by the card"


@given(st.floats(0, 20), st.floats(0, 20), st.floats(0, 20), st.booleans(), st.floats(1, 4096))
def test_more_waiting_work_never_admits_what_less_refused(
    first: float, rest: float, more: float, streaming: bool, chars: float
):
    asked = ask(chars, streaming=streaming)
    light = decide(asked, Load(1, 1, first, first + rest), COST, LIMITS)
    heavy = decide(asked, Load(1, 1, first + more, first + rest + more), COST, LIMITS)
    assert isinstance(light, Admit) or not isinstance(heavy, Admit)


def test_a_text_that_no_gateway_would_wait_for_is_only_spoken_as_a_stream():
    verdict = decide(ask(4096, streaming=False), IDLE, COST, LIMITS)
    assert verdict == TooLong(CARD.at(4096), LIMITS.whole_work_s_max)
    assert isinstance(decide(ask(4096), IDLE, COST, LIMITS), Admit)


@pytest.mark.parametrize("factor", [0.3, 1.0, 5.0])
def test_the_model_learns_this_machine(factor: float):
    fit = Fit(CARD)
    for chars in [15, 60, 90, 120, 40] * 20:
        fit = fit.observed(chars, CARD.at(chars) * factor)
    for chars in (15, 60, 120):
        assert fit.line.at(chars) == pytest.approx(CARD.at(chars) * factor, rel=0.02)


def test_one_length_only_scales_the_card():
    fit = Fit(CARD)
    for _ in range(50):
        fit = fit.observed(60, CARD.at(60) * 4)
    assert fit.line.at(120) == pytest.approx(CARD.at(120) * 4, rel=0.05)
