"""The generator: streams of sentences with a rate, a duration and a bound on what may be in flight.

Open loop: the n-th request is due at a time that does not depend on any answer, so a slow system gets no mercy and
lateness is not hidden ("coordinated omission"). When the bound is reached a request is not sent and counted as failed
by the bound, because a client gave up; it never piles up here.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.clock import Clock
from contracts.vocabulary import Region
from trimtab.load.http1 import Answer, HttpError, Target
from trimtab.load.records import Fate, Record
from trimtab.load.sentences import SENTENCES

IN_FLIGHT_MAX = 256
"""More waiting clients than any embedded stack can satisfy within the request timeout."""
RECORDS_MAX = 500_000
"""Hours at any rate this machine could serve; beyond it the run is not a demo."""
RATE_RPS_MAX = 500.0
"""What one event loop can pace without becoming the bottleneck itself."""
REQUEST_TIMEOUT_S = 15.0
"""Over every budget of the serving side: what is not answered by then is lost."""
JITTER = 0.25
"""Spacing varies by a quarter either way, so that streams do not march in step with the system's own periods."""
NO_CACHE = {"Cache-Control": "no-store"}
HTTP_OK = 200
HTTP_REFUSALS = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Stream:
    """A steady flow of requests to some gateways, in turn."""

    name: str
    gateways: tuple[Region, ...]
    rate_rps: float
    """Over all its gateways together."""
    duration_s: float
    """How long requests are sent; the last answers come after it."""

    def __post_init__(self) -> None:
        if not 0 < self.rate_rps <= RATE_RPS_MAX:
            msg = f"stream {self.name}: {self.rate_rps} requests per second is outside 0..{RATE_RPS_MAX}"
            raise ValueError(msg)


@dataclass(slots=True)
class LoadGenerator:
    """Sends streams and remembers every request."""

    targets: Mapping[Region, Target]
    clock: Clock
    rng: random.Random
    records: list[Record] = field(default_factory=list)
    in_flight: int = 0

    async def run(self, stream: Stream, stop: asyncio.Event | None = None) -> None:
        """Send until the duration is over or `stop` is set, then wait for the last answers."""
        started_s = self.clock.monotonic_s()
        due_s = started_s
        async with asyncio.TaskGroup() as group:
            turn = 0
            while (due_s := due_s + self._gap_s(stream)) < started_s + stream.duration_s:
                await self.clock.sleep(max(0.0, due_s - self.clock.monotonic_s()))
                if stop is not None and stop.is_set():
                    break
                gateway = stream.gateways[turn % len(stream.gateways)]
                turn += 1
                if self.in_flight >= IN_FLIGHT_MAX:
                    self._remember(self._unsent(stream, gateway))
                    continue
                group.create_task(self.speak_once(stream.name, gateway))

    async def speak_once(self, stream: str, gateway: Region) -> Record:
        """One request with a random sentence; never raises for trouble of the other side."""
        sent_s = self.clock.monotonic_s()
        self.in_flight += 1
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                answer = await self.targets[gateway].post("/tts", {"text": self.rng.choice(SENTENCES)}, NO_CACHE)
        except (OSError, HttpError, TimeoutError) as error:
            record = self._record(stream, gateway, sent_s, fate=Fate.FAILED, detail=f"{type(error).__name__}: {error}")
        else:
            record = self._judge(stream, gateway, sent_s, answer)
        finally:
            self.in_flight -= 1
        self._remember(record)
        return record

    def since(self, monotonic_s: float, *, stream: str | None = None) -> list[Record]:
        """Records of requests sent at or after that moment."""
        return [r for r in self.records if r.sent_s >= monotonic_s and (stream is None or r.stream == stream)]

    def close(self) -> None:
        """Close idle connections."""
        for target in self.targets.values():
            target.close()

    def _gap_s(self, stream: Stream) -> float:
        return (1.0 + JITTER * (2.0 * self.rng.random() - 1.0)) / stream.rate_rps

    def _judge(self, stream: str, gateway: Region, sent_s: float, answer: Answer) -> Record:
        if answer.status == HTTP_OK:
            return self._record(stream, gateway, sent_s, fate=Fate.SPOKEN, answer=answer)
        refused = answer.status in HTTP_REFUSALS and "retry-after" in answer.headers
        detail = answer.body[:200].decode(errors="replace")
        fate = Fate.REFUSED if refused else Fate.FAILED
        return self._record(stream, gateway, sent_s, fate=fate, answer=answer, detail=detail)

    def _record(
        self, stream: str, gateway: Region, sent_s: float, *, fate: Fate, answer: Answer | None = None, detail: str = ""
    ) -> Record:
        return Record(
            gateway=gateway,
            stream=stream,
            sent_s=sent_s,
            latency_s=self.clock.monotonic_s() - sent_s,
            fate=fate,
            status=answer.status if answer else None,
            audio_bytes=len(answer.body) if answer and fate is Fate.SPOKEN else 0,
            profile=answer.headers.get("x-tts-profile", "") if answer else "",
            detail=detail,
        )

    def _unsent(self, stream: Stream, gateway: Region) -> Record:
        now_s = self.clock.monotonic_s()
        return self._record(stream.name, gateway, now_s, fate=Fate.FAILED, detail=f"{IN_FLIGHT_MAX} already in flight")

    def _remember(self, record: Record) -> None:
        if len(self.records) < RECORDS_MAX:
            self.records.append(record)
