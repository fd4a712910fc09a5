"""The joe voice as artefacts on disk: what `prepare` derived, loaded fast and only when it is exactly that.

    VOICE_DIR/manifest.json             what is here: size and sha256 of each file, and what it was derived from and with
              acoustic.onnx             ids → latent, optimised
              <profile>.onnx            latent → sound, one per profile, optimised
              golden.npz                a latent, and the sound each profile made of it
              lexicon.db, voice.json    words → phonemes → ids

Starting checks sizes and versions, not hashes, so that a replica is up in a second; `prepare` checks hashes.
"""

from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.vocabulary import ProfileId
from serving.core.admission import Line
from serving.core.profiles import Expectation
from serving.engines.onnx import OnnxAcoustic, OnnxVocoder, open_session
from serving.phonemes import GruutGuesser, Lexicon, LexiconPhonemizer
from serving.ports import Acoustic, Golden, ProfileCard, Vocoder, VoiceError, VoiceFacts

FORMAT: Final = 1
"""Raised whenever the artefacts change shape, so that old ones are derived again."""
MANIFEST = "manifest.json"
ACOUSTIC = "acoustic.onnx"
GOLDEN = "golden.npz"
LEXICON = "lexicon.db"
PHONEME_IDS = "voice.json"
CARDS = Path(__file__).parent / "data"
"""Package data: one folder per vocoder, each with its `card.json`."""


class Stored(BaseModel):
    """A border model of files on disk."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StoredLine(Stored):
    """`a_s + b_s·chars`."""

    a_s: float
    b_s: float


class StoredCard(Stored):
    """The part of a `card.json` that the software reads; the rest is for people."""

    profile: ProfileId
    context_frames: int
    first_work: StoredLine
    total_work: StoredLine
    golden_snr_db_min: float
    golden_energy_db_max: float


class StoredFile(Stored):
    """One artefact."""

    bytes: int
    sha256: str


class Manifest(Stored):
    """`manifest.json`."""

    format: int
    voice: str
    source_sha256: str
    onnxruntime: str
    sample_rate_hz: int
    hop_samples: int
    profiles: tuple[ProfileId, ...]
    files: dict[str, StoredFile]


class PhonemeIds(Stored):
    """`voice.json`: the only part of the voice's configuration that speaking needs."""

    phoneme_id_map: dict[str, tuple[int, ...]]


def vocoder_file(profile: ProfileId) -> str:
    """Name of a profile's artefact."""
    return f"{profile}.onnx"


def read_cards() -> dict[ProfileId, ProfileCard]:
    """The measured cards that ship with the package."""
    cards = [StoredCard.model_validate_json(path.read_bytes()) for path in sorted(CARDS.glob("*/card.json"))]
    return {
        card.profile: ProfileCard(
            profile=card.profile,
            context_frames=card.context_frames,
            first_work=Line(card.first_work.a_s, card.first_work.b_s),
            total_work=Line(card.total_work.a_s, card.total_work.b_s),
            expectation=Expectation(card.golden_snr_db_min, card.golden_energy_db_max),
        )
        for card in cards
    }


def read_manifest(voice_dir: Path) -> Manifest:
    """The manifest of usable artefacts; raises `VoiceError` when there are none, or they are not what it says."""
    how = f"derive the voice with: python -m serving prepare --voice-dir {voice_dir}"
    try:
        manifest = Manifest.model_validate_json((voice_dir / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        msg = f"no voice artefacts in {voice_dir}; {how}"
        raise VoiceError(msg) from error
    if manifest.format != FORMAT or manifest.onnxruntime != ort.__version__:
        msg = f"the voice in {voice_dir} was derived by another version; {how}"
        raise VoiceError(msg)
    for name, stored in manifest.files.items():
        path = voice_dir / name
        if not path.is_file() or path.stat().st_size != stored.bytes:
            msg = f"{path} is missing or cut short; {how}"
            raise VoiceError(msg)
    return manifest


class JoeVoice:
    """`Voice` from the artefacts in one directory."""

    def __init__(self, voice_dir: Path) -> None:
        self._dir = voice_dir
        self._manifest = read_manifest(voice_dir)
        self._cards = read_cards()
        self._acoustic = OnnxAcoustic(open_session(voice_dir / ACOUSTIC))

    @property
    def facts(self) -> VoiceFacts:
        """From the manifest."""
        it = self._manifest
        return VoiceFacts(it.voice, it.source_sha256, it.sample_rate_hz, it.hop_samples, it.profiles)

    @property
    def acoustic(self) -> Acoustic:
        """The shared first half."""
        return self._acoustic

    def card(self, profile: ProfileId) -> ProfileCard:
        """What was measured of `profile`."""
        return self._cards[profile]

    def open_vocoder(self, profile: ProfileId) -> tuple[Vocoder, Golden]:
        """Load one vocoder and its self-test: 10–40 ms."""
        try:
            with np.load(self._dir / GOLDEN) as stored:
                golden = Golden(latent=stored["latent"], samples=stored[profile])
        except (OSError, ValueError, KeyError) as error:
            msg = f"{self._dir / GOLDEN} has no self-test for {profile}"
            raise VoiceError(msg) from error
        return OnnxVocoder(open_session(self._dir / vocoder_file(profile))), golden


def open_phonemizer(voice_dir: Path) -> LexiconPhonemizer:
    """Words to the ids this voice was trained with."""
    stored = PhonemeIds.model_validate_json((voice_dir / PHONEME_IDS).read_bytes())
    return LexiconPhonemizer(lexicon=Lexicon(voice_dir / LEXICON), guesser=GruutGuesser(), id_map=stored.phoneme_id_map)
