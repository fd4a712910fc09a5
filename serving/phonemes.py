"""Sentences to phoneme ids, with gruut's MIT-licensed English lexicon and its model for unknown words.

gruut's own sentence pipeline costs 70–160 ms for a sentence it has not seen, because its lexicon has no index and is
scanned for every word. `prepare` therefore derives an indexed copy; only words outside it reach gruut's guesser, whose
0.7 s import is taken in the background. Promises: every id is in the voice's map; a word is looked up once while it
stays among the newest `WORDS_MAX`; safe from several threads.
"""

import importlib.util
import re
import sqlite3
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from serving.ports import VoiceError

WORDS_MAX = 20_000
"""About 3 MB; everyday English uses fewer distinct words."""
BEGIN, PAD, END, SPACE = "^", "_", "$", " "
GRUUT_LEXICON = Path("lexicon.db")
GRUUT_GUESSER = Path("g2p/model.crf")
PUNCTUATION = frozenset(".,!?;:")
LETTERS = {
    "a": "ˈeɪ", "b": "bˈiː", "c": "sˈiː", "d": "dˈiː", "e": "ˈiː", "f": "ˈɛf", "g": "dʒˈiː",
    "h": "ˈeɪtʃ", "i": "ˈaɪ", "j": "dʒˈeɪ", "k": "kˈeɪ", "l": "ˈɛl", "m": "ˈɛm", "n": "ˈɛn",
    "o": "ˈoʊ", "p": "pˈiː", "q": "kjˈuː", "r": "ˈɑːɹ", "s": "ˈɛs", "t": "tˈiː", "u": "jˈuː",
    "v": "vˈiː", "w": "dˈʌbəljˌuː", "x": "ˈɛks", "y": "wˈaɪ", "z": "zˈiː",
}  # fmt: skip
"""Names of the letters in the voice's alphabet; the lexicon lists `a` as the article."""
_INITIALISM = re.compile(r"[A-Z]{1,5}s?")
"""Capitals of this length that are no word are spelled: GPU, TLS, HTTPS, CPUs."""
_TOKEN = re.compile(r"[A-Za-z']+|[.,!?;:]")


class Lexicon:
    """Pronunciations of known words, from the indexed copy; each thread reads through a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._uri = f"file:{path}?mode=ro&immutable=1"
        self._local = threading.local()

    def phonemes(self, word: str) -> str | None:
        """Pronunciation of a lower-case word, or None when the lexicon does not have it."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = sqlite3.connect(self._uri, uri=True)
        row = connection.execute("SELECT phonemes FROM words WHERE word = ?", (word,)).fetchone()
        return None if row is None else str(row[0])


class GruutGuesser:
    """gruut's trained model for words outside the lexicon; imported when first needed, used by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guess: Callable[[str], Sequence[str]] | None = None

    def phonemes(self, word: str) -> str:
        """Best guess for a lower-case word."""
        with self._lock:
            if self._guess is None:
                from gruut.g2p import GraphemesToPhonemes  # noqa: PLC0415  # 0.7 s that known words never wait for

                self._guess = GraphemesToPhonemes(gruut_models() / GRUUT_GUESSER)
            return "".join(self._guess(word))


class LexiconPhonemizer:
    """`Phonemizer` over a lexicon and a guesser, with a bounded cache of words."""

    def __init__(self, *, lexicon: Lexicon, guesser: GruutGuesser, id_map: Mapping[str, Sequence[int]]) -> None:
        self._lexicon = lexicon
        self._guesser = guesser
        self._id_map = id_map
        self._words: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def ids(self, sentence: str) -> tuple[int, ...]:
        """Ids of a normalised sentence, each followed by the pad the voice was trained with."""
        pad = self._id_map[PAD]
        ids = [*self._id_map[BEGIN], *pad]
        for symbol in self._symbols(sentence):
            if symbol in self._id_map:
                ids += [*self._id_map[symbol], *pad]
        return (*ids, *self._id_map[END])

    def warm_up(self) -> None:
        """Import gruut's guesser before the first unknown word comes."""
        self._guesser.phonemes("trimtab")

    def _symbols(self, sentence: str) -> str:
        spoken = ""
        for token in _TOKEN.findall(sentence):
            if token in PUNCTUATION:
                spoken += token
            elif pronunciation := self._word(token):
                spoken += (SPACE if spoken else "") + pronunciation
        return unicodedata.normalize("NFD", spoken)

    def _word(self, token: str) -> str:
        key = token if _INITIALISM.fullmatch(token) else token.lower()
        with self._lock:
            if key in self._words:
                self._words.move_to_end(key)
                return self._words[key]
        pronunciation = self._pronounce(key)
        with self._lock:
            self._words[key] = pronunciation
            if len(self._words) > WORDS_MAX:
                self._words.popitem(last=False)
        return pronunciation

    def _pronounce(self, key: str) -> str:
        word = key.lower().strip("'")
        if not word:
            return ""
        known = self._lexicon.phonemes(word)
        if known is not None:
            return known
        if _INITIALISM.fullmatch(key) or len(word) == 1:
            plural = "z" if key[-1] == "s" and len(key) > 1 else ""
            return "".join(LETTERS.get(letter, "") for letter in key.removesuffix("s").lower()) + plural
        if "'" in word:
            return "".join(self._pronounce(part) for part in word.split("'"))
        return self._guesser.phonemes(word)


def gruut_models() -> Path:
    """Where gruut keeps its English models in espeak's alphabet, which is the voice's."""
    spec = importlib.util.find_spec("gruut_lang_en")
    if spec is None or spec.origin is None:
        msg = "gruut's English models are not installed: pip install 'trimtab[serving]'"
        raise VoiceError(msg)
    return Path(spec.origin).parent / "espeak"


def derive_lexicon(source: Path, target: Path) -> int:
    """Write an indexed copy of gruut's lexicon, one pronunciation per word; returns how many words it has."""
    with sqlite3.connect(f"file:{source}?mode=ro&immutable=1", uri=True) as read:
        rows = read.execute("SELECT word, phonemes FROM word_phonemes ORDER BY word, pron_order").fetchall()
    words = {word: phonemes.replace(" ", "") for word, phonemes in reversed(rows)}
    with sqlite3.connect(target) as write:
        write.execute("CREATE TABLE words (word TEXT PRIMARY KEY, phonemes TEXT NOT NULL) WITHOUT ROWID")
        write.executemany("INSERT INTO words VALUES (?, ?)", sorted(words.items()))
    return len(words)
