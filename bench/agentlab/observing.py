"""Watching an exporter during a fault: how fast it answers, and whether what it says of each GPU is true.

Every second all GPUs get a new temperature. A page that shows one of the last seconds' temperatures is fresh, one that
shows an older one is frozen (it lies without saying so), NaN is a placeholder that graphs and alerts stumble over, and no
line is silence: Prometheus then knows that there is no value.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from agent.simulated_gpus.state import SimulatedHost
from bench.agentlab.exporters import Exporter
from bench.agentlab.scraping import percentile

PULSE_S = 1.0
COLDEST_C, TEMPERATURES = 30, 50
"""One temperature per second, each comes again only after 50 seconds."""
FRESH_S = 4.5
"""A sample per second, dropped when three are missing, read by a loaded machine."""
SCRAPE_EVERY_S = 0.1


class Word(StrEnum):
    FRESH = "fresh"
    FROZEN = "frozen"
    NAN = "NaN"
    SILENT = "silent"


class Pulse:
    """Gives every GPU a new temperature each second, while it runs."""

    def __init__(self, host: SimulatedHost) -> None:
        self._host = host
        self._given: deque[tuple[float, int]] = deque(maxlen=32)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def word(self, celsius: float | None, now_s: float) -> Word:
        """What a shown temperature is worth."""
        if celsius is None:
            return Word.SILENT
        if math.isnan(celsius):
            return Word.NAN
        recent = {given for at_s, given in tuple(self._given) if now_s - at_s <= FRESH_S}
        return Word.FRESH if int(celsius) in recent else Word.FROZEN

    def _beat(self) -> None:
        beat = 0
        while not self._stop.wait(PULSE_S if beat else 0.0):
            celsius = COLDEST_C + beat % TEMPERATURES
            self._given.append((time.monotonic(), celsius))
            for gpu in self._host.gpus:
                gpu.temperature_c = celsius
            beat += 1


@dataclass(frozen=True, slots=True)
class Look:
    """One scrape."""

    at_s: float
    took_s: float
    answered: bool
    words: dict[int, Word]
    told: bool


@dataclass(slots=True)
class Observer:
    """Scrapes one exporter ten times a second, in a thread of its own: one that hangs delays no other."""

    exporter: Exporter
    pulse: Pulse
    gpus: int
    told: Callable[[str], bool]
    looks: list[Look] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Observer":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(SCRAPE_EVERY_S):
            page = self.exporter.scrape()
            now_s = time.monotonic()
            shown = self.exporter.temperatures(page)
            words = {gpu: self.pulse.word(shown.get(gpu), now_s) for gpu in range(self.gpus)}
            self.looks.append(Look(now_s, page.took_s, page.answered, words, page.answered and self.told(page.text)))

    def p99_s(self) -> float:
        return percentile([look.took_s for look in self.looks], 0.99)

    def unanswered(self) -> int:
        return sum(not look.answered for look in self.looks)

    def first(self, is_so: Callable[[Look], bool], since_s: float) -> float | None:
        """Seconds from `since_s` to the first such look."""
        return next((look.at_s - since_s for look in self.looks if look.at_s >= since_s and is_so(look)), None)

    def worst(self, gpus: frozenset[int], since_s: float, until_s: float) -> Word | None:
        """The worst that was said of these GPUs meanwhile; None without GPUs or looks."""
        order = [Word.FROZEN, Word.NAN, Word.SILENT, Word.FRESH]
        said = {
            look.words[gpu] for look in self.looks if since_s <= look.at_s <= until_s and look.answered for gpu in gpus
        }
        return next((word for word in order if word in said), None)

    def always_fresh(self, gpus: frozenset[int], since_s: float, until_s: float) -> int:
        """How many of these GPUs never showed anything but fresh values."""
        looks = [look for look in self.looks if since_s <= look.at_s <= until_s]
        return sum(bool(looks) and all(look.words[gpu] is Word.FRESH for look in looks) for gpu in gpus)
