r"""Go's string literals as PromQL reads them: `"a\n"`, `'a'` and raw ones in backticks."""

import re

_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_NUMERIC = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})")
_ASCII_END, _UNICODE_END = 0x80, 0x110000
_SURROGATES = range(0xD800, 0xE000)


class GoStringError(ValueError):
    """No string stands there; the message says why."""


def read_go_string(text: str, start: int) -> tuple[str, int]:
    """The string literal that begins at `start`, decoded, and where it ends; `GoStringError` when none does."""
    quote = text[start : start + 1]
    if quote == "`":
        end = text.find("`", start + 1)
        if end < 0:
            raise GoStringError("a string is not closed")
        return _checked(text[start + 1 : end]), end + 1
    if quote not in {'"', "'"}:
        raise GoStringError("a quoted string is missing")
    return _interpreted(text, start + 1, quote)


def _interpreted(text: str, at: int, quote: str) -> tuple[str, int]:
    value: list[str] = []
    while at < len(text):
        character = text[at]
        if character == quote:
            return _checked("".join(value)), at + 1
        if character == "\n":
            raise GoStringError("a string has a line break: write \\n")
        if character != "\\":
            value.append(character)
            at += 1
            continue
        decoded, at = _escaped(text, at + 1, quote)
        value.append(decoded)
    raise GoStringError("a string is not closed")


def _escaped(text: str, at: int, quote: str) -> tuple[str, int]:
    character = text[at : at + 1]
    if character == quote:
        return quote, at + 1
    if character in _PLAIN:
        return _PLAIN[character], at + 1
    numeric = _NUMERIC.match(text, at)
    if numeric is None:
        raise GoStringError(f"\\{character} is no escape: a backslash itself is written twice")
    byte, short, long, octal = numeric.groups()
    code = int(octal, 8) if octal else int(byte or short or long, 16)
    # \xff and \377 are bytes in Go; above ASCII they would have to add up to UTF-8, which nobody writes by hand.
    if ((byte or octal) and code >= _ASCII_END) or code >= _UNICODE_END or code in _SURROGATES:
        raise GoStringError(f"\\{numeric[0]} is no character: write it as it is")
    return chr(code), numeric.end()


def _checked(value: str) -> str:
    if any(ord(character) in _SURROGATES for character in value):
        raise GoStringError("a string has half a character (a surrogate)")
    return value
