"""Reads a table of one GPU and remembers what that GPU will never answer.

Each reading has one or more ways, tried in order of preference. A way that this device, driver or binding does not have
is not tried again; a reading without a way left is omitted: never zero, never NaN.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pynvml

from agent.probes.nvml.codes import DEVICE_DOWN, DRIVER_GONE, UNSUPPORTED

Handle = object
Values = Mapping[str, float]
Way = Callable[[Handle], Values]
INT64_BLANK_MIN = 0x7FFF_FFFF_FFFF_FFF0
"""DCGM's family of 'no value' marks (9223372036854775794 is one) starts here; drivers and tools leak them."""
BLANKS = frozenset({0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF})
"""'Not available' of 32 and 64 bits."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing to read; one way can give several values."""

    name: str
    ways: tuple[Way, ...]


@dataclass(slots=True)
class Reader:
    """The readings of one GPU."""

    readings: tuple[Reading, ...]
    handle_doubtful: bool = False
    """In the newest `read` some call gave 999: the handle is to be asked for anew, though other calls worked.
    Some drivers give 999 for one call for ever; such a device is not condemned by it."""
    _way: dict[str, int] = field(default_factory=dict)
    """Reading → the first way that may still work."""

    def read(self, handle: Handle) -> dict[str, float]:
        """Every value that could be read; raises `NVMLError` when device or driver is gone, or when nothing but 999 came."""
        values: dict[str, float] = {}
        unknown: list[pynvml.NVMLError] = []
        for reading in self.readings:
            values |= self._read(reading, handle, unknown)
        self.handle_doubtful = bool(unknown)
        if unknown and not values:
            raise unknown[0]
        return values

    def _read(self, reading: Reading, handle: Handle, unknown: list[pynvml.NVMLError]) -> Values:
        while (way := self._way.get(reading.name, 0)) < len(reading.ways):
            try:
                return reading.ways[way](handle)
            except pynvml.NVMLError as error:
                if error.value in DEVICE_DOWN | DRIVER_GONE:
                    raise
                if error.value not in UNSUPPORTED:
                    if error.value == pynvml.NVML_ERROR_UNKNOWN:
                        unknown.append(error)
                    return {}
                self._way[reading.name] = way + 1
        return {}


def call(name: str, *arguments: object) -> Any:  # noqa: ANN401  # the binding is untyped
    """Call a function of the binding by its name; raises FunctionNotFound when this binding is too old to have it."""
    function = getattr(pynvml, name, None)
    if function is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    return function(*arguments)


def is_blank(raw: float) -> bool:
    """One of the marks that stand for 'no value', or not a number at all."""
    return not math.isfinite(raw) or raw in BLANKS or raw >= INT64_BLANK_MIN


def value(name: str, raw: float, scale: float = 1.0) -> Values:
    """One value in its base unit; nothing when the driver gave a mark instead of a number."""
    return {} if is_blank(raw) else {name: float(raw) * scale}


def text(raw: str | bytes) -> str:
    """A name or id; old bindings answer bytes."""
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw
