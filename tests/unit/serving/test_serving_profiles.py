"""A switch step by step, and what a self-test must show."""

import pytest

from contracts.vocabulary import FULL_FP32, LIGHT_INT8, ProfileId
from serving.core.profiles import (
    Expectation,
    Preparing,
    SelfTest,
    Steady,
    Unchanged,
    UnknownProfile,
    commit,
    prepare,
    roll_back,
    why_unfit,
)

KNOWN = (FULL_FP32.id, LIGHT_INT8.id)
NOW = Steady(FULL_FP32.id, 4)
EXPECTED = Expectation(snr_db_min=20.0, energy_db_max=0.5)


def test_a_candidate_that_passes_is_the_next_generation():
    step = prepare(NOW, LIGHT_INT8.id, KNOWN)
    assert step == Preparing(NOW, LIGHT_INT8.id)
    assert commit(step) == Steady(LIGHT_INT8.id, 5)


def test_a_candidate_that_fails_leaves_everything_as_it_was():
    step = prepare(NOW, LIGHT_INT8.id, KNOWN)
    assert isinstance(step, Preparing)
    assert roll_back(step) == NOW


def test_the_profile_in_use_is_not_switched_again():
    assert prepare(NOW, FULL_FP32.id, KNOWN) == Unchanged(NOW)


def test_an_unknown_profile_is_answered_with_the_known_ones():
    wanted = ProfileId("full-int8-onnx")
    assert prepare(NOW, wanted, KNOWN) == UnknownProfile(wanted, KNOWN)


@pytest.mark.parametrize(
    ("what", "test", "fault"),
    [
        ("an equal sound passes", SelfTest(True, 120.0, 0.0), ""),
        ("a close sound passes", SelfTest(True, 20.0, -0.5), ""),
        ("a sound that is not finite fails", SelfTest(False, 120.0, 0.0), "finite"),
        ("noise fails", SelfTest(True, 3.0, 0.0), "SNR"),
        ("a ratio that is no number fails", SelfTest(True, float("nan"), 0.0), "SNR"),
        ("silence fails", SelfTest(True, 25.0, -90.0), "loudness"),
    ],
)
def test_self_tests(what: str, test: SelfTest, fault: str):
    why = why_unfit(test, EXPECTED)
    assert (fault in why) if fault else why == "", what
