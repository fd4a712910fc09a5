"""Why a GPU's clocks are below their maximum, as seconds and transitions.

NVML gives a bit mask of the moment. A steady reason shows in throughput, an oscillating one in the tail of the latency
(so both are counted): seconds say how long, transitions how often. A mask holds until the next sample; across a gap in
the samples nothing is known, so nothing is added, and the seconds can never exceed the time that passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

REASONS: Mapping[int, str] = {
    0x001: "gpu_idle",
    0x002: "application_clocks",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clocks",
    0x200: "board_limit",
    0x400: "reliability",
}
"""nvmlClocksEventReasons (nvml.h 13.5); bits without a name are ignored."""
GAP_S_MAX = 3.0
"""Three samples: beyond that the GPU is stale, and what it did meanwhile is not known."""


@dataclass(frozen=True, slots=True)
class ClockEvents:
    """What was seen so far."""

    seconds: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(REASONS.values(), 0.0))
    transitions: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS.values(), 0))
    active: frozenset[str] | None = None
    """None before the first sample."""
    seen_s: float = 0.0
    """Monotonic time of the newest sample."""


def active_in(mask: int) -> frozenset[str]:
    """Names of the bits that are set."""
    return frozenset(name for bit, name in REASONS.items() if mask & bit)


def observed(events: ClockEvents, mask: int, at_s: float) -> ClockEvents:
    """The next sample's mask: time since the former one belongs to what was active then."""
    active = active_in(mask)
    if events.active is None:
        return ClockEvents(events.seconds, events.transitions, active, at_s)
    elapsed_s = at_s - events.seen_s
    seconds, transitions = events.seconds, events.transitions
    if events.active and 0 < elapsed_s <= GAP_S_MAX:
        seconds = {**seconds, **{name: seconds[name] + elapsed_s for name in events.active}}
    if begun := active - events.active:
        transitions = {**transitions, **{name: transitions[name] + 1 for name in begun}}
    return ClockEvents(seconds, transitions, active, at_s)
