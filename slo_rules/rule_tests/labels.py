"""Label sets that a selector selects, made up: a generated test needs series that its rules can see.

A pattern's value is built by reading the simplest text off it and is then checked against the pattern, so a guess that
misses is an error here and never a test that passes because it feeds nothing.
"""

import re
from collections.abc import Iterator

from slo_rules.errors import SloError
from slo_rules.promql import Matcher
from slo_rules.selectors import Selector

Labels = dict[str, str]
_ANY = "x"
_OTHERS = ("other", "200", "0", "")
"""What a label may be when it must not be something; the first that fits is taken."""
_COUNTED = re.compile(r"(\\.|\[[^\]]*\]|.)\{(\d+)(?:,\d*)?\}")
_SIMPLER = (
    (re.compile(r"\[\^[^\]]*\]"), "~"),
    (re.compile(r"\[\\?(.)(?:\\.|[^\]\\])*\]"), r"\1"),
    (re.compile(r"\\d"), "0"),
    (re.compile(r"\\w"), "w"),
    (re.compile(r"\\s"), " "),
    (re.compile(r"\\(.)"), r"\1"),
)


def selected(selector: Selector, metric: str, labels: Labels) -> bool:
    """Whether `selector` selects this series; an absent label reads as empty, as in Prometheus."""
    return metric in selector.metrics and all(_holds(matcher, labels) for matcher in selector.matchers)


def labels_of(*matchers: Matcher) -> Labels:
    """Labels for which every one of `matchers` holds; `SloError` when none can be made up."""
    by_label: dict[str, list[Matcher]] = {}
    for matcher in matchers:
        by_label.setdefault(matcher.label, []).append(matcher)
    values = {label: _value(conditions) for label, conditions in by_label.items()}
    return {label: value for label, value in values.items() if value}


def labels_outside(selector: Selector, inside: Selector) -> tuple[str, Labels]:
    """A series of `inside` that `selector` does not select; `SloError` when none can be made up."""
    for metric in inside.metrics:
        base = labels_of(*inside.matchers)
        if not selected(selector, metric, base):
            return metric, base
        for matcher in selector.matchers:
            same = [other for other in inside.matchers if other.label == matcher.label]
            for value in (value for other in (_opposite(matcher), *same) for value in _values(other)):
                labels = {**base, matcher.label: value}
                if selected(inside, metric, labels) and not selected(selector, metric, labels):
                    return metric, {label: value for label, value in labels.items() if value}
    raise SloError("selector", f"every event of {inside} is one of {selector}", "select all events as the total")


def _value(conditions: list[Matcher]) -> str:
    """One value for which all conditions on a label hold; empty leaves the label out."""
    for value in ("", *(value for condition in conditions for value in _values(condition))):
        if all(_holds(condition, {condition.label: value}) for condition in conditions):
            return value
    wanted = ",".join(map(str, conditions))
    raise SloError(
        "selector", f"no label for {{{wanted}}} can be made up", "select by plain values or simpler patterns"
    )


def _values(matcher: Matcher) -> Iterator[str]:
    """Values for which `matcher` holds, simplest first; none when its pattern is beyond this reader."""
    match matcher.operator:
        case "=":
            guesses: tuple[str, ...] = (matcher.value,)
        case "=~":
            guesses = tuple(_simplest(branch) for branch in (*matcher.value.split("|"), _top_group(matcher.value)))
        case _:
            guesses = _OTHERS
    yield from (value for value in guesses if _holds(matcher, {matcher.label: value}))


def _top_group(pattern: str) -> str:
    """The first branch of each group: `(?:get|head)_.+` → `get_.+`."""
    return re.sub(r"\((?:\?:)?([^()|]*)(?:\|[^()]*)?\)", r"\1", pattern)


def _simplest(pattern: str) -> str:
    """A text that `pattern` most likely matches: classes give their first member, repetitions one turn."""
    text = _COUNTED.sub(lambda found: found[1] * max(1, int(found[2])), pattern)
    text = re.sub(r"(?<!\\)[*+?]\??", "", text)
    text = re.sub(r"(?<!\\)[.]", _ANY, text)
    for written, simpler in _SIMPLER:
        text = written.sub(simpler, text)
    return text


def _opposite(matcher: Matcher) -> Matcher:
    opposites = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}
    return Matcher(matcher.label, opposites[matcher.operator], matcher.value)


def _holds(matcher: Matcher, labels: Labels) -> bool:
    value = labels.get(matcher.label, "")
    if matcher.operator in {"=", "!="}:
        return (value == matcher.value) == (matcher.operator == "=")
    return (re.fullmatch(matcher.value, value) is not None) == (matcher.operator == "=~")
