"""A replica put together and run: the one module that knows concrete classes.

`load` does everything slow before anybody waits for it; `serve` binds the port and is ready in milliseconds. A warm
spare is a process that has done the first and waits to be told who it is. SIGTERM drains: no new work, what is in
flight finishes (bounded), then the process ends with 0; a second signal ends it at once.
"""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from chassis.clock import Clock, SystemClock
from chassis.logs import logger
from serving import api
from serving.cache import RedisStore, SoundCache
from serving.core.admission import Limits
from serving.core.profiles import Steady
from serving.engines.simulated import SimulatedPhonemizer, SimulatedVoice
from serving.metrics import Scorekeeper
from serving.ports import Phonemizer, Voice, VoiceError
from serving.replica import Replica
from serving.settings import ServingSettings
from serving.speech import SpeechDesk
from serving.switching import Stage, Switchboard, open_stage
from serving.worker import WorkerPool

log = logger(__name__)
BACKLOG = 256
"""Connections the kernel may hold while the loop is busy for a moment; more would hide overload from clients."""
KEEP_ALIVE_S = 120
"""Longer than gateways keep idle connections by habit (60 s), so that the gateway, not we, closes first."""
DRAIN_POLL_S = 0.05
FIRST_GENERATION = 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything slow, done."""

    voice: Voice
    phonemizer: Phonemizer
    stage: Stage


def load(settings: ServingSettings) -> Loaded:
    """Load the voice and prove its vocoder; blocking. Raises `VoiceError` or `EngineError`."""
    voice: Voice
    phonemizer: Phonemizer
    if settings.engine == "simulated":
        voice, phonemizer = SimulatedVoice(), SimulatedPhonemizer()
    else:
        from serving.voice import JoeVoice, open_phonemizer  # noqa: PLC0415  # a simulated replica needs no ONNX

        voice, phonemizer = JoeVoice(settings.voice_dir), open_phonemizer(settings.voice_dir)
    return Loaded(voice, phonemizer, _open(voice, settings))


def become(loaded: Loaded, settings: ServingSettings) -> Loaded:
    """The same voice in the profile that `settings` name."""
    if loaded.stage.profile == settings.profile:
        return loaded
    return Loaded(loaded.voice, loaded.phonemizer, _open(loaded.voice, settings))


def build(settings: ServingSettings, loaded: Loaded, clock: Clock) -> Replica:
    """The parts of one replica, connected, not started."""
    facts = loaded.voice.facts
    limits = Limits(settings.first_audio_budget_s, settings.total_budget_s)
    score = Scorekeeper(facts.profiles)
    switchboard = Switchboard(loaded.voice, loaded.stage)
    pool = WorkerPool(
        acoustic=loaded.voice.acoustic,
        switchboard=switchboard,
        clock=clock,
        workers=settings.workers,
        jobs_max=limits.in_flight_max,
        rate_hz=facts.sample_rate_hz,
    )
    store = RedisStore(settings.redis_url) if settings.redis_url else None
    desk = SpeechDesk(
        voice=loaded.voice,
        phonemizer=loaded.phonemizer,
        pool=pool,
        cache=SoundCache(store=store, clock=clock, count=score.looked_up),
        score=score,
        limits=limits,
    )
    replica = Replica(
        id=settings.replica,
        facts=facts,
        desk=desk,
        pool=pool,
        switchboard=switchboard,
        score=score,
        clock=clock,
        started_s=clock.monotonic_s(),
    )
    score.expose(replica.live())
    return replica


async def serve(settings: ServingSettings, loaded: Loaded) -> None:
    """Run one replica until it is told to stop and has drained."""
    clock = SystemClock()
    replica = build(settings, loaded, clock)
    server = _Server(_uvicorn_config(api.create_app(replica), settings))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _on_signal, stop, server)
    with socket.create_server((settings.address, settings.port), backlog=BACKLOG) as listener:
        replica.pool.start()
        log.info(
            "replica_started", replica=settings.replica, profile=loaded.stage.profile, port=listener.getsockname()[1]
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(loaded.phonemizer.warm_up))
                drain = group.create_task(_drain(stop, replica, server, settings.drain_s_max))
                await server.serve(sockets=[listener])
                drain.cancel()
        finally:
            await asyncio.to_thread(replica.pool.stop)
            replica.desk.close()
            await replica.desk.cache.close()
    log.info("replica_stopped", replica=settings.replica)


async def _drain(stop: asyncio.Event, replica: Replica, server: uvicorn.Server, drain_s_max: float) -> None:
    await stop.wait()
    replica.desk.draining = True
    deadline_s = replica.clock.monotonic_s() + drain_s_max
    while replica.pool.load().in_flight and replica.clock.monotonic_s() < deadline_s:
        await replica.clock.sleep(DRAIN_POLL_S)
    log.info("replica_drained", replica=replica.id, left=replica.pool.load().in_flight)
    server.should_exit = True


def _on_signal(stop: asyncio.Event, server: uvicorn.Server) -> None:
    if stop.is_set():
        server.should_exit = server.force_exit = True
    stop.set()


def _open(voice: Voice, settings: ServingSettings) -> Stage:
    if settings.profile not in voice.facts.profiles:
        msg = f"the voice has no profile {settings.profile}; it has {', '.join(voice.facts.profiles)}"
        raise VoiceError(msg)
    return open_stage(voice, Steady(settings.profile, FIRST_GENERATION))


def _uvicorn_config(app: object, settings: ServingSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # FastAPI is an ASGI application
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s_max)),
    )


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: ours drain first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
