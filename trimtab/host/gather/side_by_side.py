"""Asks many things at once, and waits for none longer than its time.

A look at a broken host can block for ever: a dead network file system, an engine that accepts and says nothing. So each
runs on a thread of its own, which the interpreter does not wait for when it ends.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from chassis.clock import Clock

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Missed:
    """A look that gave no answer: it took too long, or the system refused it in a way that nobody foresaw."""

    reason: str


@dataclass(slots=True)
class _Look(Generic[Answer]):
    ask: Callable[[], Answer]
    thread: threading.Thread = field(init=False)
    answer: Answer | Missed | None = None

    def run(self) -> None:
        try:
            self.answer = self.ask()
        except (OSError, ValueError) as error:
            self.answer = Missed(f"{type(error).__name__}: {error}")


def side_by_side(
    questions: Mapping[str, Callable[[], Answer]], *, within_s: float, clock: Clock
) -> dict[str, Answer | Missed]:
    """Every question's answer, in the order asked; all of them within `within_s`."""
    looks = {name: _Look(ask) for name, ask in questions.items()}
    for name, look in looks.items():
        look.thread = threading.Thread(target=look.run, name=f"look at {name}", daemon=True)
        look.thread.start()
    until_s = clock.monotonic_s() + within_s
    for look in looks.values():
        look.thread.join(max(0.0, until_s - clock.monotonic_s()))
    late = Missed(f"no answer within {within_s:g} s")
    return {name: late if look.answer is None else look.answer for name, look in looks.items()}
