"""Which piece of work comes next: chunks, earliest deadline first.

A whole sentence is too coarse a unit: whoever arrives behind a long text would wait for all of it. Speech is therefore
made in chunks of latent frames, and the chunk whose listener runs dry first is made first. The first chunk is short, so
that sound starts early; later ones grow, because every chunk pays its context again. Promises: pure; every frame is
made exactly once; equal deadlines keep their order of arrival; a full heap refuses.
"""

import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

CHUNK_FRAMES = (16, 32, 64, 96)
"""186 ms of sound first, then doubling; the last size repeats. Beyond 96 frames the context costs under a fifth."""
CHUNK_FRAMES_WHOLE = (96,)
"""Nobody listens to a whole response until it is done: only the lowest overhead counts."""
FIRST_AUDIO_TARGET_S = 0.1
"""A new stream's first chunk is due this soon: about what it takes alone, so only streams about to run dry go before."""
PLAYBACK_MARGIN_S = 0.15
"""A stream's next chunk is due this long before its listener runs dry: about one chunk's work plus the way there."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames `start..stop` of a latent, and the wider window a vocoder must see to make them exactly."""

    start: int
    stop: int
    window_start: int
    window_stop: int

    @property
    def frames(self) -> int:
        """Frames that become sound."""
        return self.stop - self.start

    @property
    def lead_frames(self) -> int:
        """Frames of context before the first one that becomes sound."""
        return self.start - self.window_start


def chunk_at(start: int, frames: int, context: int, size: int) -> Chunk:
    """The chunk that starts at frame `start` of `frames`, at most `size` long, with `context` frames on each side."""
    stop = min(frames, start + size)
    return Chunk(start, stop, max(0, start - context), min(frames, stop + context))


def chunk_size(sizes: tuple[int, ...], made: int) -> int:
    """Length of the next chunk of a request after `made` chunks."""
    return sizes[min(made, len(sizes) - 1)]


@dataclass(frozen=True, slots=True)
class Streaming:
    """The client listens while we speak."""

    sizes: tuple[int, ...] = CHUNK_FRAMES


@dataclass(frozen=True, slots=True)
class Whole:
    """The client waits for all of it."""

    total_budget_s: float
    sizes: tuple[int, ...] = CHUNK_FRAMES_WHOLE


Delivery = Streaming | Whole


@dataclass(frozen=True, slots=True)
class Sounded:
    """A request that has begun to sound: when, and how much audio it was given."""

    at_s: float
    audio_s: float


def deadline_s(delivery: Delivery, arrived_s: float, sounded: Sounded | None) -> float:
    """When the next chunk is due; `sounded` is None until the first one was made."""
    match delivery:
        case Whole(total_budget_s=budget_s):
            return arrived_s + budget_s
        case Streaming():
            if sounded is None:
                return arrived_s + FIRST_AUDIO_TARGET_S
            return sounded.at_s + sounded.audio_s - PLAYBACK_MARGIN_S


class HeapFullError(Exception):
    """More work than the heap may hold: admission let too much in."""


class DeadlineHeap(Generic[T]):
    """A bounded heap of items by deadline; equal deadlines first in, first out."""

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._entries: list[tuple[float, int, T]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, deadline_s: float, item: T) -> None:
        """Add `item`, or raise `HeapFullError`."""
        if len(self._entries) >= self._size_max:
            msg = f"the heap holds {self._size_max} items already"
            raise HeapFullError(msg)
        self._arrivals += 1
        heapq.heappush(self._entries, (deadline_s, self._arrivals, item))

    def pop(self) -> T:
        """Remove and return the item that is due first; `IndexError` when empty."""
        return heapq.heappop(self._entries)[2]

    def discard(self, item: T) -> bool:
        """Remove `item` wherever it stands; False when it is not here. Linear, which a bounded heap affords."""
        kept = [entry for entry in self._entries if entry[2] is not item]
        found = len(kept) < len(self._entries)
        if found:
            heapq.heapify(kept)
            self._entries = kept
        return found
