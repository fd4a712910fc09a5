"""What each metric means, for the `# HELP` line: the sentence that documents its name in `contracts.metric_names`.

One sentence per metric, in one place: what a reader of the code sees is what a person sees in Grafana. It is read once.
"""

import ast
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

_KIND_AND_LABELS = re.compile(r"^(?:Counter|Gauge|Histogram)(?:\{[^}]*\})?(?: = 1)?:?\s*")
"""How a name's documentation begins; type and labels are on the page already."""


_PLAIN = str.maketrans({"−": "-", "–": "-", "…": "...", "×": "x", "≤": "<=", "≥": ">=", "°": " "})
"""One wider character would double the page's memory and cost a third of a millisecond more at every scrape."""


@cache
def family_head(name: str, kind: str) -> str:
    """The two lines, without the last line's end, that precede a family's samples."""
    return f"# HELP {name} {help_of(name)}\n# TYPE {name} {kind}"


@cache
def help_of(name: str) -> str:
    """One escaped line; a name without documentation of its own is told in its own words."""
    text = _documented().get(name) or name.replace("_", " ")
    return text.translate(_PLAIN).replace("\\", r"\\").replace("\n", " ")


@cache
def _documented() -> Mapping[str, str]:
    """Documentation by metric name; empty where the package was installed without its sources."""
    source = files("contracts").joinpath("metric_names.py")
    if not source.is_file():
        return {}
    texts: dict[str, str] = {}
    name = ""
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(value=ast.Constant(value=str(value))):
                name = value
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                texts[name] = _KIND_AND_LABELS.sub("", text)
                name = ""
            case _:
                name = ""
    return texts
