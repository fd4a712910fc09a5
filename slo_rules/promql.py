"""PromQL, assembled from values: exact numbers, escaped strings, canonical durations.

Expressions are plain strings once built, because that is what Prometheus reads; what could go wrong on the way (a float
that prints as 0.050000000000000044, a quote inside a label value) is decided here and nowhere else.
"""

import json
import math
from dataclasses import dataclass
from decimal import Decimal

_GO_PLAIN_MIN, _GO_PLAIN_MAX = 1e-4, 1e6
"""Go writes numbers outside of these with an exponent."""
_UNITS_S = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a selector: `label operator "value"`."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quote(self.value)}"


def equals(label: str, value: str) -> Matcher:
    """`label="value"`."""
    return Matcher(label, "=", value)


def matches(label: str, pattern: str) -> Matcher:
    """`label=~"pattern"`, an anchored regular expression or a Grafana variable that becomes one."""
    return Matcher(label, "=~", pattern)


def bucket_edge(edge: float) -> Matcher:
    r"""The `le` of a classic histogram's bucket, in every spelling of that number.

    Prometheus 3 writes `1.0` where client libraries and Prometheus 2 write `1`, and Go's clients write a million as `1e+06`.
    """
    plain = number(edge)
    patterns = [_literally(plain)] if "." in plain else [rf"{plain}(\.0)?"]
    if not _GO_PLAIN_MIN <= edge < _GO_PLAIN_MAX:
        digits, _, exponent = f"{Decimal(plain).normalize():e}".partition("e")
        patterns.append(_literally(f"{digits}e{int(exponent):+03d}"))
    return equals("le", plain) if patterns == [_literally(plain)] else matches("le", "|".join(patterns))


def _literally(text: str) -> str:
    return text.replace(".", r"\.").replace("+", r"\+")


def number(value: Decimal | float) -> str:
    """`value` in positional notation, every digit it has and none more; `ValueError` for NaN and infinity."""
    if not math.isfinite(value):
        msg = f"cannot write {value} in a rule"
        raise ValueError(msg)
    text = f"{Decimal(str(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: int) -> str:
    """`5400` → `1h30m`; `ValueError` unless positive."""
    if seconds <= 0:
        msg = f"a duration of {seconds} s selects nothing"
        raise ValueError(msg)
    text, rest = "", seconds
    for unit, unit_s in _UNITS_S:
        count, rest = divmod(rest, unit_s)
        text += f"{count}{unit}" if count else ""
    return text


def just_under(seconds: int) -> str:
    """The longest duration below `seconds`, a minute or more: a range of it leaves out the sample at the far edge, which
    Prometheus 2 would count in and Prometheus 3 would not."""
    return f"{duration(seconds - 1)}999ms"


def quote(value: str) -> str:
    r"""`value` as a PromQL string. JSON's escapes (`\"`, `\\`, `\n`, `\u0007`) are a subset of Go's, which PromQL uses."""
    return json.dumps(value, ensure_ascii=False)


def selector(metric: str, *matchers: Matcher) -> str:
    """`metric{a="b",c=~"d"}`, without braces when there is nothing to match."""
    return f"{metric}{{{','.join(str(matcher) for matcher in matchers)}}}" if matchers else metric


def rate(series: str, window: str) -> str:
    """Per-second increase of a counter; `window` is a duration or a Grafana variable."""
    return f"rate({series}[{window}])"


def increase(series: str, window: str) -> str:
    """Increase of a counter over `window`."""
    return f"increase({series}[{window}])"


def sum_over_time(series: str, window_s: int) -> str:
    """Sum of the samples of the last `window_s` seconds."""
    return f"sum_over_time({series}[{duration(window_s)}])"


def sum_by(labels: tuple[str, ...], expression: str) -> str:
    """Sum that keeps `labels`."""
    return f"sum by ({', '.join(labels)}) ({expression})"


def quantile(q: float, histogram: str, by: tuple[str, ...], window: str) -> str:
    """Interpolated quantile of a classic histogram's `_bucket` selector: for the eye, never for a verdict."""
    return f"histogram_quantile({number(q)}, {sum_by(('le', *by), rate(histogram, window))})"
