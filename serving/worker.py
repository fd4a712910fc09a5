"""Worker threads that turn jobs into sound, one chunk at a time, the most urgent first.

Threads suffice, because ONNX Runtime frees the interpreter lock while it computes; one ORT thread each, because two
workers beat two threads. Promises: a step that fails, fails only its own job; a cancelled job costs at most the step
under way; every submitted job gets exactly one end; an idle worker proves itself on the golden latent, so that
readiness is never a guess.
"""

import threading
from dataclasses import dataclass

import numpy as np

from chassis.clock import Clock
from chassis.logs import logger
from serving import audio
from serving.core.admission import Load
from serving.core.batching import DeadlineHeap, HeapFullError, Sounded
from serving.jobs import Audio, Cancelled, End, Failed, Finished, Job, Sentence
from serving.ports import Acoustic, EngineError
from serving.switching import Switchboard

log = logger(__name__)
IDLE_PROOF_S = 3.0
"""An idle worker vocodes five frames this often: 4 ms of work, and three chances before readiness goes stale."""
PROOF_FRAMES = 5
JOIN_S_MAX = 10.0
"""The longest step is the acoustic part of one sentence: well under a second."""


@dataclass(slots=True)
class Tally:
    """What the workers did since they started; read by /metrics and /livez."""

    steps: int = 0
    queue_s: float = 0.0
    acoustic_s: float = 0.0
    vocoder_s: float = 0.0
    audio_s: float = 0.0


class WorkerPool:
    """N threads over one heap."""

    def __init__(
        self, *, acoustic: Acoustic, switchboard: Switchboard, clock: Clock, workers: int, jobs_max: int, rate_hz: int
    ) -> None:
        self._acoustic = acoustic
        self.switchboard = switchboard
        self.clock = clock
        self._rate_hz = rate_hz
        self._changed = threading.Condition()
        self._heap: DeadlineHeap[Job] = DeadlineHeap(jobs_max)
        self._jobs: set[Job] = set()
        self._stopping = False
        self._proven_s: list[float | None] = [None] * workers
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"voice-{number}", daemon=True)
            for number in range(workers)
        ]
        self.tally = Tally()

    def start(self) -> None:
        """Start the threads; each proves itself before its first job."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads after their current step; what still waits is cancelled."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(JOIN_S_MAX)
        for job in tuple(self._jobs):
            self._end(job, Cancelled())

    def submit(self, job: Job) -> None:
        """Queue a job. Raises `HeapFullError`, which admission's own limit makes impossible."""
        with self._changed:
            self._heap.push(job.deadline_s, job)
            self._jobs.add(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Stop a job: at once when it waits, after the current step when it is being worked on."""
        job.cancelled = True
        with self._changed:
            waiting = self._heap.discard(job)
        if waiting:
            self._end(job, Cancelled())

    def load(self, urgent_within_s: float = 0.0) -> Load:
        """Predicted work of the jobs in flight, and how much of it is due within `urgent_within_s`."""
        with self._changed:
            jobs = tuple(self._jobs)
        before_s = self.clock.monotonic_s() + urgent_within_s
        return Load(
            workers=len(self._threads),
            in_flight=len(jobs),
            urgent_work_s=sum(job.work_due_s(before_s) for job in jobs),
            work_s=sum(job.work_left_s for job in jobs),
        )

    @property
    def proof_age_s(self) -> float | None:
        """Age of the oldest worker's newest vocoded chunk; None until every worker has made one."""
        proven = [at_s for at_s in self._proven_s if at_s is not None]
        return self.clock.monotonic_s() - min(proven) if len(proven) == len(self._proven_s) else None

    def _run(self, number: int) -> None:
        self._prove(number)
        while True:
            with self._changed:
                if not len(self._heap) and not self._stopping:
                    self._changed.wait(IDLE_PROOF_S)
                if self._stopping:
                    return
                job = self._heap.pop() if len(self._heap) else None
            if job is None:
                self._prove(number)
            else:
                self._advance(number, job)

    def _prove(self, number: int) -> None:
        stage = self.switchboard.stage
        try:
            sound = stage.vocoder.samples(stage.golden.latent[:, :PROOF_FRAMES])
        except EngineError:
            log.exception("worker_proof_failed", worker=number, profile=stage.profile)
            return
        if np.isfinite(sound).all():
            self._proven_s[number] = self.clock.monotonic_s()

    def _advance(self, number: int, job: Job) -> None:
        """Do one step of `job`, then put it back or end it."""
        try:
            if not job.cancelled:
                self._step(number, job)
            rest = job.conversion.finish() if job.is_spoken and not job.cancelled else None
        except Exception as error:  # this thread supervises steps: whatever one raises fails its job and no other
            log.exception("step_failed", worker=number, error=repr(error))
            self._end(job, Failed(str(error) or type(error).__name__))
            return
        if job.cancelled:
            self._end(job, Cancelled())
        elif rest is not None:
            self._end(job, Finished(rest, tuple(job.profiles), job.first_work_s, job.work_s))
        else:
            self._put_back(job)

    def _put_back(self, job: Job) -> None:
        with self._changed:
            try:
                self._heap.push(job.deadline_s, job)
            except HeapFullError as error:
                msg = "a job that was in flight found no room: more jobs are in flight than were admitted"
                raise AssertionError(msg) from error
            self._changed.notify()

    def _step(self, number: int, job: Job) -> None:
        began_s = self.clock.monotonic_s()
        if job.started_s is None:
            job.started_s = began_s
            self._count(queue_s=began_s - job.arrived_s)
        if job.speaking is None:
            stage = self.switchboard.stage
            latent = self._acoustic.latent(job.sentences[job.spoken], speed=job.speed)
            job.speaking = Sentence(latent, stage)
            job.spoken += 1
            job.profiles.append(stage.profile)
            job.work_s += (took_s := self.clock.monotonic_s() - began_s)
            self._count(steps=1, acoustic_s=took_s)
        else:
            self._speak(number, job, job.speaking, began_s)

    def _speak(self, number: int, job: Job, sentence: Sentence, began_s: float) -> None:
        chunk = sentence.next_chunk(job.next_size)
        stage = sentence.stage
        sound = stage.vocoder.samples(sentence.latent[:, chunk.window_start : chunk.window_stop])
        per_frame = len(sound) // (chunk.window_stop - chunk.window_start)
        wanted = sound[chunk.lead_frames * per_frame :][: chunk.frames * per_frame]
        if not np.isfinite(wanted).all():
            msg = f"{stage.profile} made sound that is not finite"
            raise EngineError(msg)
        pcm = audio.pcm(wanted)
        sent = job.conversion.feed(pcm)
        self._proven_s[number] = now_s = self.clock.monotonic_s()
        audio_s = audio.seconds(len(pcm), self._rate_hz)
        job.work_s += now_s - began_s
        if job.sounded is None:
            job.first_work_s = job.work_s
            job.sounded = Sounded(now_s, audio_s)
        else:
            job.sounded = Sounded(job.sounded.at_s, job.sounded.audio_s + audio_s)
        job.chunks_made += 1
        sentence.position = chunk.stop
        if sentence.position == sentence.latent.shape[1]:
            job.speaking = None
        self._count(steps=1, vocoder_s=now_s - began_s, audio_s=audio_s)
        job.deliver(Audio(pcm, sent, stage.profile))

    def _end(self, job: Job, end: End) -> None:
        with self._changed:
            if job not in self._jobs:
                return
            self._jobs.remove(job)
        job.deliver(end)

    def _count(
        self, *, steps: int = 0, queue_s: float = 0.0, acoustic_s: float = 0.0, vocoder_s: float = 0.0,
        audio_s: float = 0.0,
    ) -> None:  # fmt: skip
        with self._changed:
            self.tally.steps += steps
            self.tally.queue_s += queue_s
            self.tally.acoustic_s += acoustic_s
            self.tally.vocoder_s += vocoder_s
            self.tally.audio_s += audio_s
