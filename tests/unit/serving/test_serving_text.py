"""What clients send, and what the voice is given to read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import numerals
from serving.text import SENTENCE_CHARS_MAX, normalised, sentences


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Dr. Smith paid $12.50.", "doctor Smith paid twelve dollars and fifty cents ."),
        ("£1 or $1.00", "one pound or one dollar"),
        ("1,234 of 10:30", "one thousand two hundred thirty four of ten thirty"),
        ("the 21st, 2nd and 30th", "the twenty first, second and thirtieth"),
        ("5% & -3.14", "five percent and minus three point one four"),
        ("call 007", "call zero zero seven"),
        ("a\x00b\u200bc\td", "a b c d"),
        ("naïve café…", "naive cafe..."),
        ("“Don’t”", "Don't"),
        ("99999999999999999999", " ".join(["nine"] * 20)),
    ],
)
def test_normalisation(written: str, read: str):
    assert normalised(written) == read


@pytest.mark.parametrize("silent", ["", "   ", "\x00\x01", "…!?", "🎉🎉", "---", "你好"])
def test_what_cannot_be_spoken_gives_nothing(silent: str):
    assert sentences(silent) == ()


def test_text_is_cut_at_sentences_and_long_ones_at_clauses():
    clause = "this clause has about forty characters in"
    text = f"One. Two! Three? {clause}, {clause}, {clause}, {clause}."
    pieces = sentences(text)
    assert pieces[:3] == ("One.", "Two!", "Three?")
    assert pieces[3:] == (f"{clause}, {clause},", f"{clause}, {clause}.")


def test_doctor_is_not_the_end_of_a_sentence():
    assert len(sentences("Dr. Smith is here.")) == 1


@given(st.text(max_size=400))
def test_whatever_goes_in_only_short_speakable_pieces_come_out(text: str):
    for piece in sentences(text):
        assert 0 < len(piece) <= SENTENCE_CHARS_MAX
        assert re.fullmatch(r"[A-Za-z'.,!?;:\- ]+", piece)


@given(st.lists(st.from_regex(r"[a-z]{1,130}[,.]?", fullmatch=True), min_size=1, max_size=80))
def test_no_letter_is_lost_by_cutting(words: list[str]):
    def letters(text: str) -> str:
        return re.sub(r"[^a-z]", "", text.lower())

    text = " ".join(words)
    assert letters(" ".join(sentences(text))) == letters(normalised(text))


@given(st.integers(0, numerals.CARDINAL_MAX))
def test_cardinals_say_the_number(number: int):
    assert _value(numerals.cardinal(number)) == number


def _value(words: str) -> int:
    small = {**{w: i for i, w in enumerate(numerals.ONES)}, **{w: 10 * i for i, w in enumerate(numerals.TENS) if i > 1}}
    total = group = 0
    for word in words.split():
        if word == "hundred":
            group *= 100
        elif word in small:
            group += small[word]
        else:
            total, group = total + group * {name: scale for scale, name in numerals.SCALES}[word], 0
    return total + group
