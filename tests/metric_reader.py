"""Which metrics a piece of PromQL reads, and which ones there are."""

import re

from contracts import metric_names, prometheus_names

BUILT_IN = {"ALERTS"}
"""Written by Prometheus itself."""
WORDS = {"and", "or", "unless", "bool", "offset"}
NAMES = {
    value
    for name, value in (vars(metric_names) | vars(prometheus_names)).items()
    if isinstance(value, str) and not name.startswith(("_", "LABEL_", "JOB_", "ALERT_"))
}
KNOWN = NAMES | BUILT_IN | {f"{name}{suffix}" for name in NAMES for suffix in ("_bucket", "_sum", "_count")}


def metrics_in(expression: str) -> set[str]:
    """Identifiers left once strings, selectors, ranges, `by (…)`, `on (…)`, functions and operators are taken away."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*(?:\([^)]*\))?", "", bare)
    return set(re.findall(r"[A-Za-z_:][\w:]*\b(?!\s*\()", bare)) - WORDS
