"""Sound already made, in Redis: optional, and never in the way.

A cache that is slow or gone must cost nothing but itself. So every call has a short timeout, every fault is a miss, and
after a few faults in a row the cache is left alone for a while. Promises: `fetch` and `keep` never raise and never take
longer than `CALL_S_MAX`; every lookup is counted once, as hit, miss, error or bypass.
"""

import asyncio
import hashlib
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import ProfileId

log = logger(__name__)
CALL_S_MAX = 0.05
"""Below the time of making the shortest sentence, so that asking can always pay off."""
FAULTS_MAX = 3
OPEN_S = 5.0
"""How long a faulty cache is left alone."""
KEEP_S = 86_400
VALUE_BYTES_MAX = 2_000_000
"""45 s of sound; longer texts are seldom asked for twice."""
Answer = TypeVar("Answer")


class Lookup(StrEnum):
    """How one lookup ended."""

    HIT = "hit"
    MISS = "miss"
    ERROR = "error"
    BYPASS = "bypass"
    """Not asked: no cache, the client forbade it, or the cache is being left alone."""


class CacheError(Exception):
    """The store did not answer usefully."""


class Store(Protocol):
    """Bytes by key. Every method raises `CacheError` and nothing else."""

    async def read(self, key: str) -> bytes | None:
        """The value, or None when there is none."""
        ...

    async def write(self, key: str, value: bytes, keep_s: int) -> None:
        """Store for `keep_s` seconds."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class RedisStore:
    """`Store` in Redis."""

    def __init__(self, url: str) -> None:
        from redis.asyncio import Redis  # noqa: PLC0415  # 0.2 s that replicas without a cache do not pay

        self._redis = Redis.from_url(url, socket_timeout=CALL_S_MAX, socket_connect_timeout=CALL_S_MAX, retry=None)

    async def read(self, key: str) -> bytes | None:
        """GET."""
        value = await _translated(self._redis.get(key))
        return value if isinstance(value, bytes) else None

    async def write(self, key: str, value: bytes, keep_s: int) -> None:
        """SET EX."""
        await _translated(self._redis.set(key, value, ex=keep_s))

    async def close(self) -> None:
        """Close the pool."""
        await self._redis.aclose()


@dataclass(slots=True)
class _Breaker:
    """Open after `FAULTS_MAX` faults in a row, for `OPEN_S`."""

    faults: int = 0
    open_until_s: float = 0.0


class SoundCache:
    """The cache as the desk sees it; `store=None` means there is none."""

    def __init__(self, *, store: Store | None, clock: Clock, count: Callable[[Lookup], None]) -> None:
        self._store = store
        self._clock = clock
        self._count = count
        self._breaker = _Breaker()

    @property
    def is_there(self) -> bool:
        """False when sound kept would go nowhere."""
        return self._store is not None

    async def fetch(self, key: str, *, bypass: bool) -> bytes | None:
        """Sound stored under `key`, or None."""
        if self._store is None or bypass or self._is_open:
            self._count(Lookup.BYPASS)
            return None
        try:
            value = await self._called(self._store.read(key))
        except CacheError:
            self._count(Lookup.ERROR)
            return None
        self._count(Lookup.MISS if value is None else Lookup.HIT)
        return value

    async def keep(self, key: str, sound: bytes) -> None:
        """Store `sound` unless it is too long or the cache is being left alone."""
        if self._store is None or self._is_open or len(sound) > VALUE_BYTES_MAX:
            return
        try:
            await self._called(self._store.write(key, sound, KEEP_S))
        except CacheError as error:
            log.warning("cache_write_failed", error=repr(error))

    async def close(self) -> None:
        """Give connections back."""
        if self._store is not None:
            await self._store.close()

    @property
    def _is_open(self) -> bool:
        return self._clock.monotonic_s() < self._breaker.open_until_s

    async def _called(self, call: Awaitable[Answer]) -> Answer:
        try:
            async with asyncio.timeout(CALL_S_MAX):
                value = await call
        except (CacheError, TimeoutError) as error:
            self._breaker.faults += 1
            if self._breaker.faults >= FAULTS_MAX:
                self._breaker = _Breaker(open_until_s=self._clock.monotonic_s() + OPEN_S)
                log.warning("cache_left_alone", for_s=OPEN_S, error=repr(error))
            msg = "the cache did not answer"
            raise CacheError(msg) from error
        self._breaker.faults = 0
        return value


def cache_key(voice_digest: str, profile: ProfileId, sentences: tuple[tuple[int, ...], ...], speed: float) -> str:
    """Names exactly one sound: the same weights, profile, phonemes and speed."""
    digest = hashlib.sha256(f"{voice_digest}\0{profile}\0{speed!r}\0".encode())
    for ids in sentences:
        digest.update(struct.pack(f"<I{len(ids)}H", len(ids), *(one & 0xFFFF for one in ids)))
    return f"trimtab:sound:{digest.hexdigest()}"


async def _translated(call: Awaitable[Answer]) -> Answer:
    from redis.exceptions import RedisError  # noqa: PLC0415  # see RedisStore

    try:
        return await call
    except (RedisError, OSError) as error:
        msg = "Redis did not answer"
        raise CacheError(msg) from error
