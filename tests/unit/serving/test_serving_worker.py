"""The worker pool on the simulated voice: order, isolation, cancellation, proof."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from chassis.clock import SystemClock
from contracts.vocabulary import FULL_FP32
from serving.core.admission import Admit
from serving.core.batching import Delivery, Streaming, Whole
from serving.core.profiles import Steady
from serving.engines.simulated import HOP, SimulatedVoice
from serving.jobs import Audio, Cancelled, Conversion, Failed, Finished, Job, Report
from serving.ports import EngineError, Latent
from serving.switching import Switchboard, open_stage
from serving.worker import WorkerPool

UNCHANGED = Conversion(feed=lambda piece: piece, finish=bytes)


class FailingAcoustic:
    """The simulated voice's acoustic part, failing for one marked sentence."""

    def __init__(self, voice: SimulatedVoice, fault: Exception) -> None:
        self._acoustic = voice.acoustic
        self._fault = fault

    def latent(self, ids: tuple[int, ...], *, speed: float) -> Latent:
        if ids[0] == 666:
            raise self._fault
        return self._acoustic.latent(ids, speed=speed)


class Listener:
    """Collects the reports of one job."""

    def __init__(self, name: str = "", log: list[str] | None = None) -> None:
        self.reports: list[Report] = []
        self.ended = threading.Event()
        self._name, self._log = name, log

    def __call__(self, report: Report) -> None:
        self.reports.append(report)
        if self._log is not None and isinstance(report, Audio):
            self._log.append(self._name)
        if not isinstance(report, Audio):
            self.ended.set()


def job(listener: Listener, *, ids: tuple[int, ...] = (1,) * 40, delivery: Delivery | None = None) -> Job:
    return Job(
        sentences=(ids,),
        speed=1.0,
        delivery=delivery or Streaming(),
        arrived_s=SystemClock().monotonic_s(),
        predicted=Admit(0.01, 0.05, 0.01, 0.05, audio_s=1.0),
        conversion=UNCHANGED,
        deliver=listener,
    )


@pytest.fixture
def start_pool(request: pytest.FixtureRequest) -> Callable[..., WorkerPool]:
    def start(voice: SimulatedVoice, *, fault: Exception | None = None, run: bool = True) -> WorkerPool:
        pool = WorkerPool(
            acoustic=voice.acoustic if fault is None else FailingAcoustic(voice, fault),
            switchboard=Switchboard(voice, open_stage(voice, Steady(FULL_FP32.id, 1))),
            clock=SystemClock(),
            workers=1,
            jobs_max=8,
            rate_hz=voice.facts.sample_rate_hz,
        )
        if run:
            pool.start()
            request.addfinalizer(pool.stop)
        return pool

    return start


def quick() -> SimulatedVoice:
    return SimulatedVoice(sleep=lambda _: None)


def test_a_job_becomes_all_of_its_sound_in_order(start_pool: Callable[..., WorkerPool]):
    voice, heard = quick(), Listener()
    start_pool(voice).submit(job(heard))
    assert heard.ended.wait(5)
    *chunks, end = heard.reports
    assert isinstance(end, Finished)
    sound = b"".join(chunk.pcm for chunk in chunks if isinstance(chunk, Audio))
    vocoder, _ = voice.open_vocoder(FULL_FP32.id)
    expected = vocoder.samples(voice.acoustic.latent((1,) * 40, speed=1.0))
    assert len(sound) == 2 * 88 * HOP
    assert np.abs(np.frombuffer(sound, "<i2") - expected * 32767).max() <= 0.5


@pytest.mark.parametrize("fault", [EngineError("no memory"), ZeroDivisionError()])
def test_a_step_that_raises_fails_only_its_own_job(start_pool: Callable[..., WorkerPool], fault: Exception):
    broken, healthy = Listener(), Listener()
    pool = start_pool(quick(), fault=fault)
    pool.submit(job(broken, ids=(666,)))
    pool.submit(job(healthy))
    assert broken.ended.wait(5)
    assert healthy.ended.wait(5)
    assert [type(report) for report in broken.reports] == [Failed]
    assert isinstance(healthy.reports[-1], Finished)
    assert pool.load().in_flight == 0


def test_the_chunk_that_is_due_first_is_made_first(start_pool: Callable[..., WorkerPool]):
    log: list[str] = []
    patient, eager = Listener("whole", log), Listener("stream", log)
    pool = start_pool(quick(), run=False)
    pool.submit(job(patient, delivery=Whole(60.0)))
    pool.submit(job(eager, delivery=Streaming()))
    pool.start()
    assert patient.ended.wait(5)
    assert eager.ended.wait(5)
    pool.stop()
    assert log == ["stream"] * 3 + ["whole"]


def test_a_cancelled_job_stops_between_chunks_and_ends_once(start_pool: Callable[..., WorkerPool]):
    heard = Listener()
    pool = start_pool(SimulatedVoice())
    long = job(heard, ids=(1,) * 4000)
    pool.submit(long)
    pool.cancel(long)
    pool.cancel(long)
    assert heard.ended.wait(5)
    assert heard.reports.count(Cancelled()) == 1
    assert sum(isinstance(report, Audio) for report in heard.reports) <= 1
    assert pool.load().in_flight == 0


def test_what_waits_when_the_pool_stops_is_cancelled_not_lost(start_pool: Callable[..., WorkerPool]):
    heard = Listener()
    pool = start_pool(quick(), run=False)
    pool.submit(job(heard))
    pool.start()
    pool.stop()
    assert heard.ended.is_set()


def test_predicted_work_is_visible_until_it_is_done(start_pool: Callable[..., WorkerPool]):
    pool = start_pool(quick(), run=False)
    pool.submit(job(Listener()))
    load = pool.load(urgent_within_s=1.0)
    assert (load.in_flight, load.work_s) == (1, pytest.approx(0.05))
    assert load.urgent_work_s == pytest.approx(0.01), "until it sounds, only its first audio is urgent"
    assert pool.load(urgent_within_s=0.0).urgent_work_s == 0.0


def test_an_idle_worker_proves_itself_before_any_request(
    start_pool: Callable[..., WorkerPool], wait_until: Callable[..., None]
):
    pool = start_pool(quick(), run=False)
    assert pool.proof_age_s is None
    pool.start()
    wait_until(lambda: pool.proof_age_s is not None, within_s=2, what="the first proof")
    pool.stop()
    assert pool.tally.steps == 0, "a proof is not progress"
