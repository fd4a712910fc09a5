"""Bounded exponential backoff with jitter from a given random source.

Only the schedule lives here: callers keep their own loop, so that what is retried, and on which exceptions, stays in
sight. "Full jitter" (AWS Architecture Blog, 2015) spreads a herd best.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays drawn uniformly from (0, min(cap, base·2ⁿ)], so that many clients do not return together."""

    base_s: float
    cap_s: float

    def __post_init__(self) -> None:
        if not 0 < self.base_s <= self.cap_s:
            msg = f"backoff needs 0 < base_s ≤ cap_s, got base_s={self.base_s}, cap_s={self.cap_s}"
            raise ValueError(msg)

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after `failures` failures in a row (≥ 1)."""
        exponent = min(failures - 1, 32)  # 2**32 s is beyond any cap; a larger power would only overflow
        ceiling_s = min(self.cap_s, self.base_s * 2.0**exponent)
        return ceiling_s * (1.0 - rng.random())
