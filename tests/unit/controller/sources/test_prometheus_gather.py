from contracts.metric_names import SLO_EVENTS_TOTAL, TTS_ADMITTED_TOTAL, TTS_REJECTED_TOTAL, TTS_SERVICE_SECONDS_TOTAL
from controller.ports import SloCounter
from controller.sources.prometheus import gather


def series(name: str, *samples: tuple[float, str], replica: str = "eu-0", **labels: str) -> dict[str, object]:
    return {
        "metric": {"__name__": name, "replica": replica, "region": "eu-west", **labels},
        "values": [list(sample) for sample in samples],
    }


def test_the_counters_of_a_replica_come_from_its_newest_scrape() -> None:
    (found,) = gather([series(TTS_ADMITTED_TOTAL, (10.0, "5"), (15.0, "8"))])
    assert (found.replica, found.region, found.sampled_unix_s, found.admitted) == ("eu-0", "eu-west", 15.0, 8.0)


def test_events_are_counted_per_objective_and_an_outcome_never_seen_is_zero() -> None:
    (found,) = gather(
        [
            series(TTS_ADMITTED_TOTAL, (15.0, "8")),
            series(SLO_EVENTS_TOTAL, (15.0, "7"), slo="fast", outcome="good"),
            series(SLO_EVENTS_TOTAL, (15.0, "1"), slo="fast", outcome="bad"),
            series(SLO_EVENTS_TOTAL, (15.0, "3"), slo="whole", outcome="good"),
        ]
    )
    assert found.slos == (SloCounter("fast", 7.0, 1.0), SloCounter("whole", 3.0, 0.0))


def test_only_refusals_for_overload_count_and_stages_add_up() -> None:
    (found,) = gather(
        [
            series(TTS_ADMITTED_TOTAL, (15.0, "8")),
            series(TTS_REJECTED_TOTAL, (15.0, "2"), reason="overload"),
            series(TTS_REJECTED_TOTAL, (15.0, "9"), reason="invalid"),
            series(TTS_SERVICE_SECONDS_TOTAL, (15.0, "1.5"), stage="acoustic"),
            series(TTS_SERVICE_SECONDS_TOTAL, (15.0, "2.5"), stage="vocoder"),
        ]
    )
    assert (found.rejected_overload, found.service_s, found.audio_s) == (2.0, 4.0, 0.0)


def test_a_series_of_a_former_process_does_not_count() -> None:
    (found,) = gather(
        [
            series(TTS_ADMITTED_TOTAL, (10.0, "500"), instance="old"),
            series(TTS_ADMITTED_TOTAL, (15.0, "3"), instance="new"),
            series(SLO_EVENTS_TOTAL, (10.0, "400"), slo="fast", outcome="good", instance="old"),
        ]
    )
    assert (found.admitted, found.slos) == (3.0, ())


def test_a_replica_that_was_not_scraped_whole_is_left_out() -> None:
    assert gather([series(SLO_EVENTS_TOTAL, (15.0, "7"), slo="fast", outcome="good")]) == ()
