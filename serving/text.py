"""Text as it comes, to sentences that can be spoken.

Clients send control characters, currencies, abbreviations and five-minute paragraphs. The voice reads words. So text is
cleaned, numbers and signs become words, and it is cut at sentences and, where these are long, at clauses: the first
piece decides how soon sound starts. Promises: pure; printable words only come out; no piece is longer than
`SENTENCE_CHARS_MAX`, whatever goes in; nothing speakable in means no pieces out.
"""

import re
import unicodedata

from serving import numerals

SENTENCE_CHARS_MAX = 120
"""The acoustic part is the floor of first audio: 134 ms for 112 characters, 349 ms for 263 (measured, one thread)."""
ABBREVIATIONS = {
    "dr": "doctor", "mr": "mister", "mrs": "missus", "ms": "miss", "prof": "professor", "st": "saint",
    "vs": "versus", "etc": "et cetera", "e.g": "for example", "i.e": "that is", "approx": "approximately",
}  # fmt: skip
CURRENCIES = {
    "$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny"), "¥": ("yen", "sen"),
}  # fmt: skip
PLURALS = {"penny": "pence", "yen": "yen", "sen": "sen"}
SIGNS = {
    "&": " and ", "%": " percent ", "@": " at ", "+": " plus ", "=": " equals ", "#": " number ", "/": " slash ",
    "°": " degrees ", "×": " times ", "<": " less than ", ">": " greater than ", "~": " about ",
}  # fmt: skip
QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": ",", "—": ",", "…": "."})

_ABBREVIATION = re.compile(
    r"\b(" + "|".join(re.escape(word) for word in ABBREVIATIONS) + r")\.(?=\s|,|$)", re.IGNORECASE
)
_MONEY = re.compile(r"([$€£¥])\s?(\d[\d,]*)(?:\.(\d{2}))?(?!\d)")
_TIME = re.compile(r"\b(\d{1,2}):([0-5]\d)\b")
_ORDINAL = re.compile(r"\b(\d{1,12})(?:st|nd|rd|th)\b", re.IGNORECASE)
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+")
_UNSPOKEN = re.compile(r"[^A-Za-z'.,!?;:\- ]")  # both cases spelt out: ignoring case, [a-z] also matches the dotless ı


def sentences(text: str) -> tuple[str, ...]:
    """Speakable pieces of `text` in order, each at most `SENTENCE_CHARS_MAX` long; empty when nothing can be spoken."""
    pieces = [
        piece
        for sentence in _SENTENCE_END.split(normalised(text))
        for piece in _clauses(sentence)
        if any(character.isalpha() for character in piece)
    ]
    return tuple(pieces)


def normalised(text: str) -> str:
    """Words and plain punctuation: no control characters, digits or signs."""
    text = unicodedata.normalize("NFKC", text).translate(QUOTES)
    text = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    text = _ABBREVIATION.sub(lambda match: ABBREVIATIONS[match[1].lower()], text)
    text = _with_spoken_numbers(text)
    for sign, words in SIGNS.items():
        text = text.replace(sign, words)
    text = "".join(part for part in unicodedata.normalize("NFD", text) if not unicodedata.combining(part))
    return re.sub(r"\s+", " ", _UNSPOKEN.sub(" ", text)).strip()


def _with_spoken_numbers(text: str) -> str:
    text = _MONEY.sub(lambda match: f" {_money(match[1], match[2], match[3])} ", text)
    text = _TIME.sub(lambda match: f"{match[1]} {'' if match[2] == '00' else match[2]}", text)
    text = _ORDINAL.sub(lambda match: numerals.ordinal(int(match[1])), text)
    text = _MINUS.sub("minus ", text)
    return _NUMBER.sub(_number, text)


def _number(match: re.Match[str]) -> str:
    bare = match[0].rstrip(",")
    comma = "," if bare != match[0] else ""
    return f" {numerals.spoken(bare)}{comma} "


def _money(sign: str, whole: str, part: str | None) -> str:
    unit, fraction = CURRENCIES[sign]
    words = f"{numerals.spoken(whole)} {_counted(unit, whole)}"
    if part and int(part):
        words += f" and {numerals.cardinal(int(part))} {_counted(fraction, str(int(part)))}"
    return words


def _counted(unit: str, amount: str) -> str:
    return unit if amount == "1" else PLURALS.get(unit, f"{unit}s")


def _clauses(sentence: str) -> list[str]:
    """`sentence` cut at clauses, and where one is still too long at words, into the fewest pieces that fit."""
    pieces: list[str] = []
    for clause in _CLAUSE_END.split(sentence):
        for word in _fitting(clause):
            joined = f"{pieces[-1]} {word}" if pieces else word
            if pieces and len(joined) <= SENTENCE_CHARS_MAX:
                pieces[-1] = joined
            else:
                pieces.append(word)
    return pieces


def _fitting(clause: str) -> list[str]:
    """The clause itself, or its words when it is too long; a word without end is cut."""
    if len(clause) <= SENTENCE_CHARS_MAX:
        return [clause]
    return [
        word[at : at + SENTENCE_CHARS_MAX] for word in clause.split() for at in range(0, len(word), SENTENCE_CHARS_MAX)
    ]
