"""Which series an expression reads, and how many samples of each: enough of PromQL's grammar for the rules that we write.

An instant selector reads one sample per series, a range one per scrape in the range, and a subquery evaluates what stands
in it once per step. That is how Prometheus itself counts `totalQueryableSamples`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from slo_rules.windows import DAY_S

_TOKEN = re.compile(
    r"""\s+|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
    r"""|(?P<range>\[\s*[0-9a-z]+\s*(?::\s*[0-9a-z]*\s*)?\])"""
    r"""|(?P<number>[0-9][0-9a-zA-Z.]*)"""
    r"""|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"""
    r"""|(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_GROUPING = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
_WORDS = frozenset(("and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"))
_AFTER_FUNCTION = frozenset(("(", "by", "without"))
"""What follows the name of a function or an aggregation, and never that of a metric."""
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": DAY_S, "w": 7 * DAY_S, "y": 365 * DAY_S}
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")


@dataclass(frozen=True, slots=True)
class Read:
    """One selector in one place of an expression."""

    selector: str
    range_s: float
    """0: the newest sample alone."""
    times: float = 1.0
    """How often a subquery evaluates it."""


def seconds_of(duration: str) -> float:
    """`1d12h` → 129600; 0 for anything else."""
    return sum(int(count) * _UNIT_S[unit] for count, unit in _DURATION.findall(duration))


def reads_of(expression: str) -> tuple[Read, ...]:
    """Every selector of a well-formed expression, in order."""
    return _Reader(expression).read()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


class _Reader:
    """Goes over the tokens once; remembers where each open parenthesis began among what was read."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._tokens = list(_tokens(expression))
        self._at = 0
        self._reads: list[Read] = []
        self._opened: list[int] = []

    def read(self) -> tuple[Read, ...]:
        while self._at < len(self._tokens):
            self._step()
        return tuple(self._reads)

    def _step(self) -> None:
        token = self._tokens[self._at]
        if token.text == "(":
            self._opened.append(len(self._reads))
        elif token.text == ")":
            self._close()
        elif token.text == "{" or token.kind == "name":
            self._word(token)
            return
        self._at += 1

    def _word(self, token: _Token) -> None:
        lowered = token.text.lower()
        if lowered in _GROUPING:
            self._skip_list()
        elif lowered in _WORDS or (token.text != "{" and self._next() in _AFTER_FUNCTION):
            self._at += 1
        else:
            self._selector(token)

    def _selector(self, token: _Token) -> None:
        if token.text != "{":
            self._at += 1
        end = token.end
        if self._at < len(self._tokens) and self._tokens[self._at].text == "{":
            while self._tokens[self._at].text != "}":
                self._at += 1
            end = self._tokens[self._at].end
            self._at += 1
        range_s, _ = self._range()
        self._reads.append(Read(self._text[token.start : end], range_s))

    def _close(self) -> None:
        first = self._opened.pop() if self._opened else 0
        self._at += 1
        range_s, step_s = self._range()
        self._at -= 1  # the caller passes the token it came for
        if step_s:
            self._reads[first:] = [replace(read, times=read.times * range_s / step_s) for read in self._reads[first:]]

    def _range(self) -> tuple[float, float]:
        """Length and step of the brackets here, which are passed; zeros when there are none."""
        if self._at >= len(self._tokens) or self._tokens[self._at].kind != "range":
            return 0.0, 0.0
        length, _, step = self._tokens[self._at].text.strip("[] ").partition(":")
        self._at += 1
        return seconds_of(length), seconds_of(step)

    def _skip_list(self) -> None:
        self._at += 1
        if self._at < len(self._tokens) and self._tokens[self._at].text == "(":
            while self._tokens[self._at].text != ")":
                self._at += 1
            self._at += 1

    def _next(self) -> str:
        return self._tokens[self._at + 1].text if self._at + 1 < len(self._tokens) else ""


def _tokens(expression: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(expression):
        if found.lastgroup is not None:
            yield _Token(found.lastgroup, found[0], found.start(), found.end())
