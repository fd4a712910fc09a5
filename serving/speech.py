"""The desk where speech is ordered: text → sentences → cache → admission → job, and its way back to the client.

Everything here runs on the event loop and only waits; text and sound are made in threads. Each order that is accepted
ends exactly once, as ok, failed or cancelled, and its times are taken when sound is *ready to send*, so that a slow
reader never makes us look slow.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from contracts.vocabulary import ProfileId
from serving import audio, text
from serving.cache import SoundCache, cache_key
from serving.core.admission import Admit, Ask, CostModel, Fit, Limits, Refuse, TooLong, decide
from serving.core.batching import Streaming, Whole
from serving.core.slo import Durations
from serving.jobs import Audio, Cancelled, Conversion, Failed, Finished, Job, Report
from serving.metrics import Account, Rejection, Scorekeeper
from serving.ports import Phonemizer, ServingError, Voice
from serving.worker import WorkerPool

PHONEMES_S_MAX = 5.0
"""4,096 unknown characters take under 0.1 s; the first unknown word of a cold process 0.7 s."""


class SpeechError(ServingError):
    """An accepted request could not be spoken to its end."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a client wants spoken."""

    text: str
    speed: float
    streaming: bool
    rate_hz: int
    no_store: bool
    canary: bool = False
    """The agent's own utterance: spoken when nothing else is, never cached, and in no count of requests."""


@dataclass(frozen=True, slots=True)
class NothingToSpeak:
    """The text holds no letter and no digit."""


@dataclass(frozen=True, slots=True)
class Draining:
    """The replica takes no new work."""


@dataclass(frozen=True, slots=True)
class Cached:
    """The sound is here already, in the rate that was asked for."""

    sound: bytes
    profile: ProfileId


@dataclass(frozen=True, slots=True)
class Keep:
    """Where the cache wants the sound, provided that all of it is made in `profile`."""

    key: str
    profile: ProfileId


class Speech:
    """One accepted request on its way: chunks come out in order, and `cancel` stops the work behind it."""

    def __init__(
        self, *, desk: "SpeechDesk", account: Account, ask: Ask, keep_as: Keep | None, arrived_s: float
    ) -> None:
        self._desk = desk
        self._account = account
        self._ask = ask
        self._keep_as = keep_as
        self.arrived_s = arrived_s
        self._first_audio_s: float | None = None
        self._reports: asyncio.Queue[Report] = asyncio.Queue()  # bounded by the text: at most one item per chunk
        self._made: list[bytes] = []
        self._job: Job | None = None
        self.storable: bytes | None = None
        self.was_cancelled = False

    def began(self, job: Job) -> None:
        """The job that works for this request."""
        self._job = job

    def cancel(self) -> None:
        """The client went away; harmless when all is spoken."""
        if self._job is not None:
            self._desk.pool.cancel(self._job)

    async def chunks(self) -> AsyncIterator[Audio]:
        """Sound as it is made. Raises `SpeechError` when a step fails; ends early when cancelled."""
        while True:
            report = await self._reports.get()
            match report:
                case Audio():
                    yield report
                case Finished(tail=tail):
                    if tail:
                        yield Audio(b"", tail, report.profile)
                    return
                case Failed(reason=reason):
                    raise SpeechError(reason)
                case Cancelled():
                    return

    def reported(self, report: Report) -> None:
        """Take one report from the worker; on the event loop."""
        now_s = self._desk.clock.monotonic_s()
        match report:
            case Audio(pcm=pcm):
                if self._keep_as is not None:
                    self._made.append(pcm)
                if self._first_audio_s is None:
                    self._first_audio_s = now_s - self.arrived_s
            case Finished():
                self._finish(report, now_s - self.arrived_s)
            case Failed():
                self._account.failed()
            case Cancelled():
                self.was_cancelled = True
                self._account.cancelled()
        self._reports.put_nowait(report)

    async def keep(self) -> None:
        """Store the sound for the next client, once the response is out."""
        if self._keep_as is not None and self.storable is not None:
            await self._desk.cache.keep(self._keep_as.key, self.storable)

    def _finish(self, end: Finished, total_s: float) -> None:
        first_s = self._first_audio_s if self._ask.streaming and self._first_audio_s is not None else total_s
        self._account.finished(Durations(first_s, total_s), end.profile)
        self._desk.learn(self._ask, end)
        if self._keep_as is not None and set(end.profiles) == {self._keep_as.profile}:
            self.storable = b"".join(self._made)


class SpeechDesk:
    """Accepts or refuses orders, and starts the work."""

    def __init__(
        self,
        *,
        voice: Voice,
        phonemizer: Phonemizer,
        pool: WorkerPool,
        cache: SoundCache,
        score: Scorekeeper,
        limits: Limits,
    ) -> None:
        self._facts = voice.facts
        self._phonemizer = phonemizer
        self._limits = limits
        self._texts = ThreadPoolExecutor(max_workers=1, thread_name_prefix="text")
        self._costs = {
            card.profile: CostModel(card.profile, Fit(card.first_work), Fit(card.total_work))
            for card in (voice.card(profile) for profile in voice.facts.profiles)
        }
        self.pool = pool
        self.cache = cache
        self.score = score
        self.clock = pool.clock
        self.draining = False

    async def order(self, order: Order) -> Speech | Cached | Refuse | TooLong | NothingToSpeak | Draining:
        """Accept an order, or say why not; counts what it refuses."""
        arrived_s = self.clock.monotonic_s()
        account = self._account_of(order)
        refusal = self._refusal_unread(order)
        if refusal is not None:
            account.rejected(Rejection.DRAINING if isinstance(refusal, Draining) else Rejection.OVERLOAD)
            return refusal
        try:
            sentences, ids = await self._in_text_thread(order.text)
        except TimeoutError:
            account.rejected(Rejection.OVERLOAD)
            return Refuse(f"the text was not read within {PHONEMES_S_MAX} s", 1.0)
        if not sentences:
            return NothingToSpeak()
        profile = self.pool.switchboard.stage.profile
        key = cache_key(self._facts.digest, profile, ids, order.speed)
        stored = None if order.canary else await self.cache.fetch(key, bypass=order.no_store)
        if stored is not None:
            return await self._cached(stored, order, profile, arrived_s)
        ask = Ask(
            chars=sum(map(len, sentences)) / order.speed,
            first_chars=len(sentences[0]) / order.speed,
            streaming=order.streaming,
        )
        verdict = decide(ask, self.pool.load(self._limits.first_audio_budget_s), self._costs[profile], self._limits)
        if not isinstance(verdict, Admit):
            account.rejected(Rejection.OVERLOAD if isinstance(verdict, Refuse) else Rejection.TOO_LARGE)
            return verdict
        keep_as = Keep(key, profile) if self.cache.is_there and not (order.no_store or order.canary) else None
        speech = Speech(desk=self, account=account, ask=ask, keep_as=keep_as, arrived_s=arrived_s)
        speech.began(self._started(order, ids, verdict, speech))
        return speech

    def _account_of(self, order: Order) -> Account:
        return self.score.canaries if order.canary else self.score

    def _refusal_unread(self, order: Order) -> Draining | Refuse | None:
        """Why the order is turned away before its text is even read: a canary yields to anybody's work."""
        if self.draining:
            return Draining()
        in_flight = self.pool.load().in_flight if order.canary else 0
        return Refuse(f"{in_flight} requests in flight, and this is only a canary", 1.0) if in_flight else None

    def learn(self, ask: Ask, end: Finished) -> None:
        """Let a finished request improve the prediction for its profile."""
        if not end.is_of_one_profile:
            return
        self._costs[end.profile] = self._costs[end.profile].observed(
            ask, first_work_s=end.first_work_s, total_work_s=end.total_work_s
        )

    def close(self) -> None:
        """End the text thread."""
        self._texts.shutdown(wait=False, cancel_futures=True)

    async def _in_text_thread(self, said: str) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PHONEMES_S_MAX):
            return await loop.run_in_executor(self._texts, self._read, said)

    def _read(self, said: str) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
        sentences = text.sentences(said)
        return sentences, tuple(self._phonemizer.ids(sentence) for sentence in sentences)

    async def _cached(self, stored: bytes, order: Order, profile: ProfileId, arrived_s: float) -> Cached:
        sound = await asyncio.to_thread(_converted_whole, stored, self._facts.sample_rate_hz, order.rate_hz)
        took_s = self.clock.monotonic_s() - arrived_s
        self.score.admitted += 1
        self.score.finished(Durations(took_s, took_s), profile)
        return Cached(sound, profile)

    def _started(self, order: Order, ids: tuple[tuple[int, ...], ...], verdict: Admit, speech: Speech) -> Job:
        limits = self._limits
        job = Job(
            sentences=ids,
            speed=order.speed,
            delivery=Streaming() if order.streaming else Whole(limits.total_budget_s),
            arrived_s=speech.arrived_s,
            predicted=verdict,
            conversion=_conversion(self._facts.sample_rate_hz, order.rate_hz),
            deliver=_on(asyncio.get_running_loop(), speech),
        )
        self._account_of(order).admitted += 1
        self.pool.submit(job)
        return job


def _on(loop: asyncio.AbstractEventLoop, speech: Speech) -> Callable[[Report], None]:
    """Carry reports from worker threads to `speech` on its event loop."""

    def deliver(report: Report) -> None:
        loop.call_soon_threadsafe(speech.reported, report)

    return deliver


def _conversion(from_hz: int, to_hz: int) -> Conversion:
    if from_hz == to_hz:
        return Conversion(feed=lambda piece: piece, finish=bytes)
    resampler = audio.Resampler(from_hz, to_hz)
    return Conversion(feed=resampler.feed, finish=resampler.finish)


def _converted_whole(sound: bytes, from_hz: int, to_hz: int) -> bytes:
    conversion = _conversion(from_hz, to_hz)
    return conversion.feed(sound) + conversion.finish()
