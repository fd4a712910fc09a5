"""Chunks and their order: every frame once, the most urgent first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.batching import (
    CHUNK_FRAMES,
    CHUNK_FRAMES_WHOLE,
    FIRST_AUDIO_TARGET_S,
    PLAYBACK_MARGIN_S,
    Chunk,
    DeadlineHeap,
    HeapFullError,
    Sounded,
    Streaming,
    Whole,
    chunk_at,
    chunk_size,
    deadline_s,
)


def plan(frames: int, context: int, sizes: tuple[int, ...]) -> list[Chunk]:
    chunks: list[Chunk] = []
    while (start := chunks[-1].stop if chunks else 0) < frames:
        chunks.append(chunk_at(start, frames, context, chunk_size(sizes, len(chunks))))
    return chunks


def test_chunks_double_from_16_frames_and_see_their_context():
    chunks = plan(300, 10, CHUNK_FRAMES)
    assert [(c.start, c.stop) for c in chunks] == [(0, 16), (16, 48), (48, 112), (112, 208), (208, 300)]
    assert [(c.window_start, c.window_stop) for c in chunks][:2] == [(0, 26), (6, 58)]
    assert chunks[-1].window_stop == 300


@given(st.integers(1, 5000), st.integers(0, 40), st.sampled_from([CHUNK_FRAMES, CHUNK_FRAMES_WHOLE]))
def test_every_frame_is_made_exactly_once_with_its_context(frames: int, context: int, sizes: tuple[int, ...]):
    chunks = plan(frames, context, sizes)
    assert [frame for c in chunks for frame in range(c.start, c.stop)] == list(range(frames))
    for chunk in chunks:
        assert chunk.lead_frames == min(context, chunk.start)
        assert chunk.window_stop == min(frames, chunk.stop + context)
        assert chunk.frames <= max(sizes)


@pytest.mark.parametrize(
    ("what", "delivery", "sounded", "due"),
    [
        ("a stream owes its first audio", Streaming(), None, 10.0 + FIRST_AUDIO_TARGET_S),
        ("then it is due before the listener runs dry", Streaming(), Sounded(10.2, 2.0), 12.2 - PLAYBACK_MARGIN_S),
        ("a whole response owes only its end", Whole(5.0), None, 15.0),
        ("whatever it has made", Whole(5.0), Sounded(10.2, 2.0), 15.0),
    ],
)
def test_deadlines(what: str, delivery: Streaming | Whole, sounded: Sounded | None, due: float):
    assert deadline_s(delivery, 10.0, sounded) == pytest.approx(due), what


@given(st.lists(st.integers(0, 5), max_size=50))
def test_the_heap_gives_the_earliest_first_and_equals_in_order_of_arrival(deadlines: list[int]):
    heap: DeadlineHeap[tuple[int, int]] = DeadlineHeap(50)
    for number, deadline in enumerate(deadlines):
        heap.push(deadline, (deadline, number))
    assert [heap.pop() for _ in deadlines] == sorted((d, n) for n, d in enumerate(deadlines))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.data())
def test_discarding_one_item_keeps_the_order_of_the_others(deadlines: list[int], data: st.DataObject):
    items = [(deadline, number) for number, deadline in enumerate(deadlines)]
    heap: DeadlineHeap[tuple[int, int]] = DeadlineHeap(30)
    for item in items:
        heap.push(item[0], item)
    gone = data.draw(st.sampled_from(items))
    assert heap.discard(gone)
    assert not heap.discard(gone)
    assert [heap.pop() for _ in range(len(heap))] == sorted(item for item in items if item is not gone)


def test_a_full_heap_refuses():
    heap: DeadlineHeap[str] = DeadlineHeap(1)
    heap.push(1.0, "first")
    with pytest.raises(HeapFullError):
        heap.push(0.0, "second")
    assert heap.pop() == "first"
