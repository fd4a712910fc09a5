"""A cache that is slow or gone costs nothing but itself."""

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from chassis.clock import ManualClock
from contracts.vocabulary import FULL_FP32, LIGHT_INT8
from serving.cache import CALL_S_MAX, FAULTS_MAX, OPEN_S, VALUE_BYTES_MAX, CacheError, Lookup, SoundCache, cache_key


class FakeStore:
    """A store that works, fails or hangs as it is told."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.mood = "works"
        self.calls = 0

    async def read(self, key: str) -> bytes | None:
        await self._behave()
        return self.values.get(key)

    async def write(self, key: str, value: bytes, keep_s: int) -> None:
        await self._behave()
        self.values[key] = value

    async def close(self) -> None:
        self.mood = "closed"

    async def _behave(self) -> None:
        self.calls += 1
        if self.mood == "hangs":
            await asyncio.Event().wait()
        if self.mood == "fails":
            raise CacheError


def cache(store: FakeStore | None) -> tuple[SoundCache, Counter[Lookup], ManualClock]:
    counts: Counter[Lookup] = Counter()
    clock = ManualClock()
    return SoundCache(store=store, clock=clock, count=lambda how: counts.update([how])), counts, clock


async def test_what_was_kept_is_found():
    sounds, counts, _ = cache(FakeStore())
    assert await sounds.fetch("a", bypass=False) is None
    await sounds.keep("a", b"sound")
    assert await sounds.fetch("a", bypass=False) == b"sound"
    assert counts == {Lookup.MISS: 1, Lookup.HIT: 1}


async def test_a_client_may_forbid_it_and_a_replica_may_have_none():
    store = FakeStore()
    sounds, counts, _ = cache(store)
    none, no_counts, _ = cache(None)
    await sounds.fetch("a", bypass=True)
    await none.fetch("a", bypass=False)
    assert counts == no_counts == {Lookup.BYPASS: 1}
    assert store.calls == 0


async def test_a_hanging_store_is_given_up_soon_then_left_alone_then_tried_again():
    store = FakeStore()
    sounds, counts, clock = cache(store)
    store.mood = "hangs"
    async with asyncio.timeout(FAULTS_MAX * CALL_S_MAX * 4):
        for _ in range(FAULTS_MAX + 5):
            assert await sounds.fetch("a", bypass=False) is None
    assert counts == {Lookup.ERROR: FAULTS_MAX, Lookup.BYPASS: 5}
    store.mood = "works"
    clock.advance(OPEN_S)
    await sounds.keep("a", b"sound")
    assert await sounds.fetch("a", bypass=False) == b"sound"


async def test_faults_that_are_not_in_a_row_do_not_open_it():
    store = FakeStore()
    sounds, counts, _ = cache(store)
    for mood in ("fails", "works") * (FAULTS_MAX + 1):
        store.mood = mood
        await sounds.fetch("a", bypass=False)
    assert counts[Lookup.BYPASS] == 0


async def test_long_sounds_are_not_kept():
    store = FakeStore()
    sounds, _, _ = cache(store)
    await sounds.keep("a", bytes(VALUE_BYTES_MAX + 1))
    assert store.values == {}


ids = st.lists(st.lists(st.integers(0, 200), min_size=1, max_size=5).map(tuple), min_size=1, max_size=3).map(tuple)


@given(ids, ids)
def test_different_sentences_have_different_keys(one: tuple[tuple[int, ...], ...], other: tuple[tuple[int, ...], ...]):
    assert (cache_key("v", FULL_FP32.id, one, 1.0) == cache_key("v", FULL_FP32.id, other, 1.0)) is (one == other)


def test_voice_profile_and_speed_are_part_of_the_key():
    said = ((1, 2, 3),)
    keys = {
        cache_key("v", FULL_FP32.id, said, 1.0),
        cache_key("w", FULL_FP32.id, said, 1.0),
        cache_key("v", LIGHT_INT8.id, said, 1.0),
        cache_key("v", FULL_FP32.id, said, 1.5),
    }
    assert len(keys) == 4
