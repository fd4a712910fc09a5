"""SVG elements as strings, and the look of everything: fonts, sizes and colours."""

from dataclasses import dataclass
from html import escape

from grafana.model import Colour

INK, FAINT, GRID, PAPER, CARD = "#1f2328", "#656d76", "#e4e7eb", "#f3f4f6", "#ffffff"
PALETTE = ("#2f6fdb", "#d9822b", "#8a5cd1", "#17919e", "#c2417c", "#a3861c", "#6b7280", "#5aa9e6", "#8c564b", "#4a5bb8")
"""No green and no red: those mean something."""
COLOURS = {
    Colour.GREEN: "#2e9e5b",
    Colour.YELLOW: "#d1a113",
    Colour.RED: "#d0362f",
    Colour.BLUE: "#2f6fdb",
    Colour.GREY: "#8b949e",
}
SMALL, NORMAL, LARGE = 11, 13, 30
WIDTH_OF_LETTER = 0.58
"""Of the font size: a little over the mean of DejaVu and Helvetica, so that texts rather end early than overlap."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, *, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> "Box":
        """Without these margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


def tag(name: str, text: str = "", /, **attributes: object) -> str:
    """`tag("line", x1=3, stroke_width=2)`: one element; underscores become dashes, numbers are rounded."""
    written = "".join(f' {key.replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{escape(text, quote=False)}</{name}>" if text else f"<{name}{written}/>"


def write(text: str, x: float, y: float, **attributes: object) -> str:
    """Text whose baseline begins at x, y."""
    looks: dict[str, object] = {"font_size": SMALL, "fill": INK, **attributes}
    return tag("text", text, x=x, y=y, **looks)


def rectangle(box: Box, **attributes: object) -> str:
    """A filled box."""
    return tag("rect", x=box.x, y=box.y, width=max(0.0, box.width), height=max(0.0, box.height), **attributes)


def fitted(text: str, width: float, size: float = SMALL) -> str:
    """As much of `text` as fits."""
    letters = max(1, int(width / (size * WIDTH_OF_LETTER)))
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def width_of(text: str, size: float = SMALL) -> float:
    """About how wide it gets."""
    return len(text) * size * WIDTH_OF_LETTER


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escape(str(value))
