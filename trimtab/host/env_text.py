"""The syntax of systemd's `EnvironmentFile=`, read and written.

The rules are those of systemd.exec(5) and of its parser: one assignment a line; `#` and `;` begin a comment line; a value
is any number of stretches in single quotes (taken as it is) or double quotes (backslash escapes `"`, `\\`, `` ` `` and `$`),
and then a bare rest, in which quotes are ordinary letters; a backslash at the end of a line joins the next one. There is no
expansion of `$NAME`. Lines without `=`, names that no shell would accept and quotes that are never closed are faults here,
while systemd skips or swallows them with a line in the journal that nobody reads.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from trimtab.host.errors import EnvFileError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
BARE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*\Z")
BLANKS = " \t\r"
ESCAPED_IN_QUOTES = frozenset('"\\`$')


@dataclass(frozen=True, slots=True)
class Assignment:
    """`name=value`, and the line it begins on, counted from 1."""

    name: str
    value: str
    line: int


def parse_env(text: str) -> tuple[Assignment, ...]:
    """Every assignment in order; of a name that is set twice, systemd takes the last. Raises `EnvFileError`."""
    found = []
    rest = _Text(text)
    while (line := rest.next_line()) is not None:
        number, start = line
        if not start.strip() or start.lstrip()[0] in "#;":
            continue
        name, equals, _ = start.partition("=")
        if not equals:
            msg = f"line {number}: no `=`"  # what stands there instead may be a token
            raise EnvFileError(msg)
        if not NAME.match(name.strip()):
            msg = f"line {number}: {name.strip()[:60]!r} is not the name of a variable"
            raise EnvFileError(msg)
        found.append(Assignment(name.strip(), rest.value_after(number, len(name) + 1), number))
    return tuple(found)


def quoted(value: str) -> str:
    """`value` as the right-hand side of an assignment; raises `EnvFileError` for what a line cannot hold."""
    if "\n" in value or "\0" in value:
        msg = "a value cannot hold a line break or a NUL"
        raise EnvFileError(msg)
    if BARE.match(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + "".join(f"\\{letter}" if letter in ESCAPED_IN_QUOTES else letter for letter in value) + '"'


class _Text:
    """A cursor over the file: values may span lines, so lines cannot be split beforehand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_at = 0

    def next_line(self) -> tuple[int, str] | None:
        """Number and text of the line at the cursor, which moves to the next one; None at the end."""
        if self._at >= len(self._text):
            return None
        self._line_at = self._at
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        self._at = end + 1
        return self._text.count("\n", 0, self._line_at) + 1, self._text[self._line_at : end]

    def value_after(self, number: int, offset: int) -> str:
        """The value that begins `offset` characters into the last line; the cursor moves behind it."""
        pieces = list(_pieces(self._text, self._line_at + offset, number))
        self._at = pieces[-1][1] + 1
        return "".join(piece for piece, _ in pieces)


def _pieces(text: str, at: int, number: int) -> Iterator[tuple[str, int]]:
    """Quoted stretches, then the bare rest of the line, each with the position behind it."""
    while (at := _behind_blanks(text, at)) < len(text) and text[at] in "'\"":
        piece, at = (_single if text[at] == "'" else _double)(text, at + 1, number)
        yield piece, at
    yield _bare(text, at)


def _behind_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _single(text: str, at: int, number: int) -> tuple[str, int]:
    end = text.find("'", at)
    if end < 0:
        msg = f"line {number}: the single quote is never closed"
        raise EnvFileError(msg)
    return text[at:end], end + 1


def _double(text: str, at: int, number: int) -> tuple[str, int]:
    letters = []
    while at < len(text) and text[at] != '"':
        following = text[at + 1 : at + 2]
        if text[at] == "\\" and following == "\n":
            at += 2
        elif text[at] == "\\" and following in ESCAPED_IN_QUOTES:
            letters.append(following)
            at += 2
        else:
            letters.append(text[at])
            at += 1
    if at >= len(text):
        msg = f"line {number}: the double quote is never closed"
        raise EnvFileError(msg)
    return "".join(letters), at + 1


def _bare(text: str, at: int) -> tuple[str, int]:
    """Up to the end of the line, without the blanks there, unless they are escaped."""
    letters: list[str] = []
    kept = 0
    while at < len(text) and text[at] != "\n":
        escaped = text[at] == "\\" and at + 1 < len(text)
        letter = text[at + 1] if escaped else text[at]
        at += 2 if escaped else 1
        if not (escaped and letter == "\n"):
            letters.append(letter)
        if escaped or letter not in BLANKS:
            kept = len(letters)
    return "".join(letters[:kept]), at
