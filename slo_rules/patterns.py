"""Regular expressions that mean the same everywhere: the common part of RE2, read before Prometheus reads it.

Prometheus refuses a whole rule file for one broken pattern, and what Python compiles RE2 may not (look-around, references),
so neither engine is asked: a small grammar is. It bounds what patterns cost, too.

    pattern = branch { "|" branch }             branch = { atom [ "*" | "+" | "?" | "{n}" | "{n,}" | "{n,m}" ] [ "?" ] }
    atom    = character | "." | escape | class | "(" [ "?:" ] pattern ")"
"""

import math
import re

PATTERN_CHARS_MAX = 1_000
DEPTH_MAX = 10
REPEATS_MAX = 1_000
"""RE2's own bound, on nested repetitions multiplied; here on all of a pattern, which is simpler and never more."""
_CLASS_ESCAPES = frozenset("dDwWsS")
_CONTROL_ESCAPES = frozenset("aftnrv")
_REPEAT = re.compile(r"\{(\d{1,4})(?:(,)(\d{1,4})?)?\}")


class _NoPatternError(ValueError):
    """Says what is wrong, to follow "the pattern"."""


def why_no_pattern(text: str) -> str:
    """What is wrong with `text` as a pattern, to follow "the pattern …"; empty when nothing is."""
    if len(text) > PATTERN_CHARS_MAX:
        return f"has {len(text)} characters, over {PATTERN_CHARS_MAX}"
    if math.prod(int(most or least) or 1 for least, _, most in _REPEAT.findall(text)) > REPEATS_MAX:
        return f"repeats more than {REPEATS_MAX} times, all repetitions multiplied"
    try:
        end = _alternatives(text, 0, 0)
    except _NoPatternError as error:
        return str(error)
    return "" if end == len(text) else "closes a group that it did not open"


def _alternatives(text: str, at: int, depth: int) -> int:
    """Past the branches that begin at `at`: the end of the text, or the `)` that closes them."""
    if depth > DEPTH_MAX:
        raise _NoPatternError(f"nests deeper than {DEPTH_MAX}")
    while at < len(text) and text[at] != ")":
        if text[at] == "|":
            at += 1
            continue
        at = _repeated(text, _atom(text, at, depth))
    return at


def _atom(text: str, at: int, depth: int) -> int:
    character = text[at]
    if character in "*+?{":
        raise _NoPatternError(f"repeats nothing at character {at + 1}")
    if character == "(":
        return _group(text, at + 1, depth)
    if character == "[":
        return _class(text, at + 1)
    if character == "\\":
        return _escape(text, at + 1)
    return at + 1


def _repeated(text: str, at: int) -> int:
    if at >= len(text) or text[at] not in "*+?{":
        return at
    if text[at] == "{":
        at = _counted(text, at)
    else:
        at += 1
    if text.startswith("?", at):  # not greedy
        at += 1
    if at < len(text) and text[at] in "*+?{":
        raise _NoPatternError("repeats a repetition: group it first")
    return at


def _counted(text: str, at: int) -> int:
    found = _REPEAT.match(text, at)
    if found is None:
        raise _NoPatternError("has a { that begins no repetition: write \\{ for a brace")
    least, most = int(found[1]), int(found[3] or found[1])
    if least > most:
        raise _NoPatternError(f"repeats at least {least} and at most {most} times")
    return found.end()


def _group(text: str, at: int, depth: int) -> int:
    if text.startswith("?", at):
        if not text.startswith("?:", at):
            raise _NoPatternError("has a special group: of those only (?:…) means the same everywhere")
        at += 2
    end = _alternatives(text, at, depth + 1)
    if end >= len(text):
        raise _NoPatternError("does not close a group")
    return end + 1


def _class(text: str, at: int) -> int:
    at += text.startswith("^", at)
    if text.startswith("]", at):
        raise _NoPatternError("has an empty class")
    while at < len(text) and text[at] != "]":
        if text[at] == "[":
            raise _NoPatternError("has a [ inside a class: write \\[")
        low, at = _member(text, at)
        if text.startswith("-", at) and not text.startswith("-]", at):
            high, at = _member(text, at + 1)
            if not low or not high or low > high:
                raise _NoPatternError("has a range in a class that is none")
    if at >= len(text):
        raise _NoPatternError("does not close a class")
    return at + 1


def _member(text: str, at: int) -> tuple[str, int]:
    """One character of a class, "" for `\\d` and its like, and where the next begins."""
    if at >= len(text):
        raise _NoPatternError("does not close a class")
    if text[at] != "\\":
        return text[at], at + 1
    end = _escape(text, at + 1)
    return ("" if text[at + 1] in _CLASS_ESCAPES | _CONTROL_ESCAPES else text[at + 1]), end


def _escape(text: str, at: int) -> int:
    character = text[at : at + 1]
    known = character in _CLASS_ESCAPES or character in _CONTROL_ESCAPES
    punctuation = character.isascii() and not character.isalnum() and character.isprintable()
    if not character or not (known or punctuation):
        raise _NoPatternError(f"has \\{character}, which does not mean the same everywhere")
    return at + 1
