"""The text exposition format (version 0.0.4), as lean as it can be written.

A family's samples are (labels, value) pairs. Labels that many samples share are rendered once: `label_text` makes the
text, `joined` appends to it.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from agent.core.histogram import Histogram
from agent.exporter.form import Form, HistogramFamily, numbers_of
from agent.exporter.help import family_head

HISTOGRAMS_MAX = 64
"""Forms kept: a few per section, and another whenever the samples of one change."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]
Sample = tuple[Labels | str, float]
"""Labels as a mapping, or as `label_text` rendered them."""


class Page:
    """Collects samples family by family."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, samples: Iterable[Sample]) -> None:
        """One metric with all its samples; without samples it is left out."""
        lines = [
            f"{name}{{{text}}} {number(value)}" if text else f"{name} {number(value)}"
            for labels, value in samples
            for text in (labels if isinstance(labels, str) else label_text(labels),)
        ]
        if lines:
            self._lines.append(family_head(name, kind))
            self._lines += lines

    def block(self, text: str) -> None:
        """Whole families that are text already, each line with its end: for sections with hundreds of samples."""
        if text:
            self._lines.append(text.removesuffix("\n"))

    def gauge(self, name: str, value: float) -> None:
        """A gauge without labels."""
        self.family(name, "gauge", [("", value)])

    def counter(self, name: str, value: float) -> None:
        """A counter without labels."""
        self.family(name, "counter", [("", value)])

    def histograms(self, name: str, samples: Iterable[tuple[Labels, Histogram]]) -> None:
        """One histogram metric; all its samples have the same bounds."""
        found = [(label_text(labels), histogram) for labels, histogram in samples]
        if found:
            form = _histogram_form(name, tuple([text for text, _ in found]), found[0][1].bounds_s)
            self.block(form.filled([each for _, histogram in found for each in numbers_of(histogram)]))

    def text(self) -> str:
        """The page."""
        return "\n".join(self._lines) + "\n"


@lru_cache(maxsize=HISTOGRAMS_MAX)
def _histogram_form(name: str, texts: tuple[str, ...], bounds: tuple[float, ...]) -> Form:
    """Put together once: a bucket's line is longer than what changes in it."""
    return Form([HistogramFamily(name, texts, tuple(number(bound) for bound in bounds))])


def label_text(labels: Labels) -> str:
    """`{"gpu": "0"}` → `gpu="0"`, escaped."""
    return ",".join([f'{name}="{_escaped(value)}"' for name, value in labels.items()])


def joined(text: str, labels: Labels) -> str:
    """Rendered labels with more labels after them."""
    more = label_text(labels)
    return f"{text},{more}" if text and more else text or more


def _escaped(value: str) -> str:
    if value.isalnum():
        return value
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def number(value: float) -> str:
    """As short as it can be read back exactly."""
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)
