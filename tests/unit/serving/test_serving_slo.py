"""Exact counts: against a model that counts naively."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import SliKind, SloId
from serving.core.slo import Counts, Durations, SloLedger, StaleRevision, Threshold

TOTAL = Threshold(SloId("total-200ms"), SliKind.TOTAL, 0.2)
FIRST = Threshold(SloId("first-100ms"), SliKind.FIRST_AUDIO, 0.1)
events = st.one_of(st.none(), st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)))


def ledger(*thresholds: Threshold, revision: int = 1) -> SloLedger:
    taken = SloLedger().with_thresholds(revision, thresholds)
    assert isinstance(taken, SloLedger)
    return taken


def test_an_slo_counts_from_zero_before_its_first_event():
    assert ledger(TOTAL, FIRST).counts == {TOTAL.slo: Counts(0, 0), FIRST.slo: Counts(0, 0)}


def test_the_threshold_itself_is_still_good():
    assert ledger(TOTAL).finished(Durations(0.1, 0.2)).counts[TOTAL.slo] == Counts(good=1)


def test_each_slo_judges_its_own_duration():
    counted = ledger(TOTAL, FIRST).finished(Durations(first_audio_s=0.15, total_s=0.18))
    assert counted.counts == {TOTAL.slo: Counts(good=1), FIRST.slo: Counts(bad=1)}


@given(st.lists(events, max_size=60))
def test_every_request_counts_once_for_every_slo(seen: list[tuple[float, float] | None]):
    counted = ledger(TOTAL, FIRST)
    for event in seen:
        counted = counted.broken() if event is None else counted.finished(Durations(*event))
    good_totals = sum(event is not None and event[1] <= 0.2 for event in seen)
    good_firsts = sum(event is not None and event[0] <= 0.1 for event in seen)
    assert counted.counts[TOTAL.slo] == Counts(good_totals, len(seen) - good_totals)
    assert counted.counts[FIRST.slo] == Counts(good_firsts, len(seen) - good_firsts)


def test_new_thresholds_keep_the_counts_of_slos_that_stay():
    counted = ledger(TOTAL, FIRST).broken()
    stricter = Threshold(TOTAL.slo, SliKind.TOTAL, 0.05)
    new = Threshold(SloId("new"), SliKind.TOTAL, 1.0)
    replaced = counted.with_thresholds(2, (stricter, new))
    assert isinstance(replaced, SloLedger)
    assert replaced.counts == {TOTAL.slo: Counts(bad=1), new.slo: Counts()}
    assert replaced.finished(Durations(0.1, 0.1)).counts == {TOTAL.slo: Counts(bad=2), new.slo: Counts(good=1)}


def test_an_older_revision_is_refused_and_the_same_one_is_harmless():
    counted = ledger(TOTAL, revision=7).broken()
    assert counted.with_thresholds(6, ()) == StaleRevision(offered=6, in_use=7)
    assert counted.with_thresholds(7, (TOTAL,)) == counted
