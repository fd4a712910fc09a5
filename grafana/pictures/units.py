"""Numbers as people read them, in the units that panels use, and round numbers for an axis."""

import math

from grafana.model import Unit

_SUFFIXES: dict[Unit, str] = {
    Unit.REQUESTS_PER_SECOND: " req/s",
    Unit.PER_SECOND: " /s",
    Unit.CELSIUS: " °C",
    Unit.WATTS: " W",
}
_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY = ((1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki"))
_TIMES = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def tell(unit: Unit, value: float, now_s: float = 0.0) -> str:
    """`0.953` → `95.3 %`, `0.0034` → `3.4 ms`; ages are told as of `now_s`."""
    match unit:
        case Unit.RATIO:
            return f"{_digits(value * 100)} %"
        case Unit.SECONDS:
            return _time(value)
        case Unit.AGO:
            return f"{_time(max(0.0, now_s - value / 1000))} ago" if value else ""
        case Unit.BYTES:
            return f"{_scaled(value, _BINARY)}B"
        case Unit.HERTZ:
            return f"{_scaled(value, _SI)}Hz"
        case _:
            return f"{_scaled(value, _SI).rstrip()}{_SUFFIXES.get(unit, '')}"


def ticks(least: float, most: float, unit: Unit, about: int = 4) -> tuple[float, ...]:
    """Round values that span `least..most`: steps of 1, 2 or 5; of powers of two for bytes."""
    rough = (most - least) / about or 1.0
    if unit is Unit.BYTES:
        step = 2.0 ** math.ceil(math.log2(rough))
    else:
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)
    first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    return tuple(index * step for index in range(first, max(last, first + 1) + 1))


def _time(seconds: float) -> str:
    size = abs(seconds)
    for length, name in _TIMES:
        if size >= length:
            return f"{_digits(seconds / length)} {name}"
    if size >= 1 or size == 0:
        return f"{_digits(seconds)} s"
    return f"{_digits(seconds * 1e3)} ms" if size >= 1e-3 else f"{_digits(seconds * 1e6)} µs"  # noqa: PLR2004


def _scaled(value: float, scales: tuple[tuple[float, str], ...]) -> str:
    for length, name in scales:
        if abs(value) >= length:
            return f"{_digits(value / length)} {name}"
    return f"{_digits(value)} "


def _digits(value: float) -> str:
    """Three significant digits, no more zeros than needed."""
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(places, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
