"""Whom to let in: predict what a request will cost and refuse at once what would be late.

A queue without a limit turns overload into lateness for everybody. So a request is admitted only when its first audio,
and its end, are predicted to be in time behind the work already admitted. The prediction is `a + b·chars` seconds of
work, learned online from finished requests and bounded by the profile's measured card, so that one odd request cannot
shut the door. Promises: pure; a longer text never costs less; more waiting work never turns a refusal into an admission.
"""

import math
from dataclasses import dataclass, replace

from contracts.vocabulary import ProfileId

AUDIO_S_PER_CHAR = 0.055
"""Measured on the default voice: 3.4 s for 59 characters, 13.5 s for 263."""
DECAY = 0.97
"""Weight of a finished request after the next one: the model remembers about 33 requests, seconds under load."""
SCALE_MAX = 16.0
"""How far from its card a replica may be fitted: beyond 16× slower or faster something else is broken."""
SLOPE_FACTOR_MAX = 4.0
"""Share between fixed and per-character cost may shift this much against the card."""
PRIOR_CHARS = (20.0, 120.0)
"""Where the card is leaned on while few lengths were seen: the shortest and longest usual sentence."""
RETRY_AFTER_S_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of work as `a_s + b_s·chars`."""

    a_s: float
    b_s: float

    def at(self, chars: float) -> float:
        """Predicted seconds for `chars` characters."""
        return self.a_s + self.b_s * chars

    def scaled(self, factor: float) -> "Line":
        """The same line for a machine `factor` times slower."""
        return Line(self.a_s * factor, self.b_s * factor)


@dataclass(frozen=True, slots=True)
class Fit:
    """A line learned online: exponentially forgetting least squares that leans on the card, scaled to this machine."""

    prior: Line
    weight: float = 0.0
    sum_x: float = 0.0
    sum_y: float = 0.0
    sum_xx: float = 0.0
    sum_xy: float = 0.0

    def observed(self, chars: float, work_s: float) -> "Fit":
        """The fit after one more finished request."""
        return replace(
            self,
            weight=self.weight * DECAY + 1.0,
            sum_x=self.sum_x * DECAY + chars,
            sum_y=self.sum_y * DECAY + work_s,
            sum_xx=self.sum_xx * DECAY + chars * chars,
            sum_xy=self.sum_xy * DECAY + chars * work_s,
        )

    @property
    def line(self) -> Line:
        """The current line, inside its bounds."""
        expected_s = self.prior.a_s * self.weight + self.prior.b_s * self.sum_x
        scale = 1.0 if expected_s == 0 else min(max(self.sum_y / expected_s, 1 / SCALE_MAX), SCALE_MAX)
        leaned_on = self.prior.scaled(scale)
        n, x, y, xx, xy = self.weight, self.sum_x, self.sum_y, self.sum_xx, self.sum_xy
        for chars in PRIOR_CHARS:
            seconds = leaned_on.at(chars)
            n, x, y, xx, xy = n + 1, x + chars, y + seconds, xx + chars * chars, xy + chars * seconds
        slope = (n * xy - x * y) / (n * xx - x * x)
        slope = min(max(slope, leaned_on.b_s / SLOPE_FACTOR_MAX), leaned_on.b_s * SLOPE_FACTOR_MAX)
        return Line(a_s=max((y - slope * x) / n, 0.0), b_s=slope)


@dataclass(frozen=True, slots=True)
class CostModel:
    """What one request costs in one profile: until its first audio, and altogether."""

    profile: ProfileId
    first: Fit
    total: Fit

    def observed(self, ask: "Ask", *, first_work_s: float, total_work_s: float) -> "CostModel":
        """The model after one finished request."""
        return replace(
            self,
            first=self.first.observed(ask.first_chars, first_work_s),
            total=self.total.observed(ask.chars, total_work_s),
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """What admission needs to know about a request; characters are divided by the speed, as slow speech is long."""

    chars: float
    first_chars: float
    """Characters of the first sentence, which is all that first audio waits for."""
    streaming: bool


@dataclass(frozen=True, slots=True)
class Load:
    """Predicted seconds of work already admitted."""

    workers: int
    in_flight: int
    urgent_work_s: float
    """Work that is due before a new request's first audio would be late, so that it comes first."""
    work_s: float
    """All admitted work not yet done."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The replica's own budgets; a promise to the client, not an SLO."""

    first_audio_budget_s: float
    total_budget_s: float
    whole_work_s_max: float = 15.0
    """Longest work behind a response that is sent whole: not a byte of it moves before the end, and the gateway gives up
    on a try that is silent for 20 s and repeats it elsewhere, in vain."""
    in_flight_max: int = 64
    """Bounds memory: at most 64 finished five-minute texts waiting for slow readers is under 1 GB."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Let it in; the predicted work is what it adds to the load."""

    first_work_s: float
    total_work_s: float
    first_audio_s: float
    total_s: float
    audio_s: float
    """How long it will play."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Too much work waits already; after `retry_after_s` it would be admitted if nothing else came."""

    reason: str
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class TooLong:
    """No replica could send this whole before the gateway gives up; as a stream it can be spoken."""

    work_s: float
    work_s_max: float


def decide(ask: Ask, load: Load, cost: CostModel, limits: Limits) -> Admit | Refuse | TooLong:
    """Admit what is predicted to be in time, else refuse.

    A text too long for its budget even on an idle replica is admitted when nothing waits: retrying could never help it.
    A stream is in time when it never runs dry: its end may take as long as it plays, and no longer.
    """
    if load.in_flight >= limits.in_flight_max:
        return Refuse(f"{load.in_flight} requests in flight, at most {limits.in_flight_max}", 1.0)
    own = Admit(
        first_work_s=(first := cost.first.line.at(ask.first_chars)),
        total_work_s=(total := max(first, cost.total.line.at(ask.chars))),
        first_audio_s=load.urgent_work_s / load.workers + first,
        total_s=load.work_s / load.workers + total,
        audio_s=ask.chars * AUDIO_S_PER_CHAR,
    )
    if not ask.streaming and total > limits.whole_work_s_max:
        return TooLong(total, limits.whole_work_s_max)
    late_s, reason = 0.0, ""
    total_limit_s = max(limits.total_budget_s, total)
    if ask.streaming:
        first_limit_s = max(limits.first_audio_budget_s, first)
        total_limit_s = max(limits.first_audio_budget_s + own.audio_s, total)
        late_s = own.first_audio_s - first_limit_s
        reason = f"first audio predicted after {own.first_audio_s:.2f} s, budget {first_limit_s:.2f} s"
    if own.total_s - total_limit_s > late_s:
        late_s = own.total_s - total_limit_s
        reason = f"end predicted after {own.total_s:.2f} s, budget {total_limit_s:.2f} s"
    if late_s <= 0:
        return own
    return Refuse(reason, min(float(math.ceil(late_s)), RETRY_AFTER_S_MAX))
