"""PromQL instant selectors, read by an exact grammar: a metric's name and conditions on labels, nothing else.

A document's query ends up inside rules that we write, so it must be a value and not a piece of text: `m} or vector(1)` would
otherwise become part of an expression. What is read is written again in one canonical form, so that two spellings of the same
series are equal, in a diff and in a comparison.

    selector  = names [ "{" [ matcher { "," matcher } [ "," ] ] "}" ]   |   "{" … "}" with a matcher on __name__
    matcher   = label ( "=" | "!=" | "=~" | "!~" ) string
    string    = Go's, in double quotes, single quotes or backticks

Several metrics at once are written `{__name__=~"a_total|b_total"}`: names in full, no pattern. Functions, ranges, offsets
and arithmetic are refused with the reason; regular expressions go through `patterns`.
"""

import re
from dataclasses import dataclass

from slo_rules.errors import SloError
from slo_rules.patterns import why_no_pattern
from slo_rules.promql import Matcher, quote
from slo_rules.strings import GoStringError, read_go_string

SELECTOR_CHARS_MAX = 2_000
"""Prometheus repeats it in every evaluation; longer ones are lists of hosts that belong into a label."""
MATCHERS_MAX = 30
METRICS_MAX = 10
FIELD = "selector"
"""What a refusal names until the reader of the document puts the path there."""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_OPERATOR = re.compile(r"=~|!~|!=|=")
_NAME_LABEL = "__name__"
_RESERVED = frozenset(
    (
        *("and", "atan2", "avg", "bool", "bottomk", "by", "count", "count_values", "end", "group"),
        *("group_left", "group_right", "ignoring", "inf", "max", "min", "nan", "offset", "on", "or"),
        *("quantile", "start", "stddev", "stdvar", "sum", "topk", "unless", "without"),
    )
)
"""Words of PromQL: as a metric's name they read as something else in some place of an expression."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Series by name and labels; `str` is the canonical form."""

    metrics: tuple[str, ...]
    """At least one; more than one only for counts that are added up."""
    matchers: tuple[Matcher, ...]
    """Sorted, without repetition."""

    def __str__(self) -> str:
        if len(self.metrics) == 1:
            return self.metrics[0] + (f"{{{','.join(map(str, self.matchers))}}}" if self.matchers else "")
        names = f"{_NAME_LABEL}=~{quote('|'.join(self.metrics))}"
        return f"{{{','.join((names, *map(str, self.matchers)))}}}"


def parse_selector(text: str) -> Selector:
    """The series that `text` selects; `SloError` on `FIELD` that says at which character reading ended, and why."""
    if len(text) > SELECTOR_CHARS_MAX:
        raise SloError(FIELD, f"{len(text)} characters are over {SELECTOR_CHARS_MAX}", "select by fewer labels")
    reader = _Reader(text)
    name = reader.take(_NAME)
    matchers = reader.matchers() if reader.accept("{") else ()
    reader.finish()
    metrics = _metrics(name, matchers)
    conditions = tuple(sorted({m for m in matchers if m.label != _NAME_LABEL}, key=_order))
    _check_conditions(conditions)
    return Selector(metrics, conditions)


class _Reader:
    """A place in the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._skip()

    def take(self, token: re.Pattern[str]) -> str:
        """The token here, or "" when something else stands here."""
        found = token.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        self._skip()
        return found[0]

    def accept(self, character: str) -> bool:
        """Whether `character` stands here; then it is passed."""
        found = self._text.startswith(character, self._at)
        if found:
            self._at += len(character)
            self._skip()
        return found

    def matchers(self) -> tuple[Matcher, ...]:
        """What stands between the braces, the closing one included."""
        found: list[Matcher] = []
        while not self.accept("}"):
            if len(found) == MATCHERS_MAX:
                raise SloError(FIELD, f"more than {MATCHERS_MAX} conditions", "select by fewer labels")
            found.append(self._matcher())
            if not self.accept(",") and not self._text.startswith("}", self._at):
                raise self._stopped("a comma or } is missing", 'write conditions as a="b", c=~"d|e"')
        return tuple(found)

    def finish(self) -> None:
        """Refuse whatever follows."""
        if self._at == len(self._text):
            return
        rest = self._text[self._at :]
        for start, what in (("[", "a range"), ("(", "a function"), ("offset", "an offset"), ("@", "a fixed time")):
            if rest.lower().startswith(start):
                raise self._stopped(f"{what} is not part of a selector", _PLAIN)
        raise self._stopped("something follows the selector", _PLAIN)

    def _matcher(self) -> Matcher:
        label = self.take(_LABEL)
        if not label:
            raise self._stopped(
                "a label's name is missing", 'write conditions as a="b"; names have letters, digits and _'
            )
        operator = self.take(_OPERATOR)
        if not operator:
            raise self._stopped(f"no operator follows {label}", "use =, !=, =~ or !~")
        try:
            value, self._at = read_go_string(self._text, self._at)
        except GoStringError as error:
            raise self._stopped(str(error), 'write the value in double quotes, e.g. code="500"') from error
        self._skip()
        return Matcher(label, operator, value)

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _stopped(self, problem: str, fix: str) -> SloError:
        return SloError(FIELD, f"at character {self._at + 1}: {problem}", fix)


_PLAIN = (
    'write a plain selector, e.g. http_requests_total{code="500"}: rates, sums and windows are added by the compiler'
)


def _metrics(name: str, matchers: tuple[Matcher, ...]) -> tuple[str, ...]:
    named = [m for m in matchers if m.label == _NAME_LABEL]
    if len(named) + bool(name) != 1:
        raise SloError(FIELD, "not exactly one metric name is given", "begin with the metric's name")
    metrics: tuple[str, ...]
    if name:
        metrics = (name,)
    elif named[0].operator in {"=", "=~"}:
        metrics = tuple(sorted(set(named[0].value.split("|" if named[0].operator == "=~" else "\0"))))
    else:
        raise SloError(FIELD, f"{_NAME_LABEL}{named[0].operator} names no metric", "begin with the metric's name")
    if len(metrics) > METRICS_MAX:
        raise SloError(FIELD, f"more than {METRICS_MAX} metrics", "write one SLO per metric, or a recording rule")
    for metric in metrics:
        if not _NAME.fullmatch(metric) or metric.lower() in _RESERVED:
            raise SloError(
                FIELD, f"{metric[:60]!r} is not a metric's name", f'{_PLAIN}; several: {{{_NAME_LABEL}=~"a|b"}}'
            )
    return metrics


def _check_conditions(conditions: tuple[Matcher, ...]) -> None:
    equal: dict[str, str] = {}
    for condition in conditions:
        if condition.operator in {"=~", "!~"}:
            problem = why_no_pattern(condition.value)
            if problem:
                raise SloError(
                    FIELD, f"the pattern of {condition.label} {problem}", "use RE2's common part: . * + ? | [] () {n,m}"
                )
        elif condition.operator == "=" and equal.setdefault(condition.label, condition.value) != condition.value:
            raise SloError(FIELD, f"{condition.label} cannot equal two values", 'use =~"a|b" for either')


def _order(matcher: Matcher) -> tuple[str, str, str]:
    return matcher.label, matcher.operator, matcher.value
