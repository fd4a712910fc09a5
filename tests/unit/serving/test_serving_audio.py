"""Bytes on the wire: headers that players believe, and a resampler that does not care how sound is cut."""

import io
import math
import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.audio import STREAMING_SIZE, Resampler, pcm, seconds, wav_header


def resampled(sound: bytes, cuts: list[int]) -> bytes:
    resampler = Resampler(22_050, 24_000)
    edges = [0, *sorted(2 * (cut % (len(sound) // 2 + 1)) for cut in cuts), len(sound)]
    pieces = [sound[a:b] for a, b in pairwise(edges)]
    return b"".join(resampler.feed(piece) for piece in pieces) + resampler.finish()


def test_a_whole_wav_is_read_back_by_the_standard_library():
    sound = pcm(np.array([0.0, 0.5, -1.0, 2.0], dtype=np.float32))
    with wave.open(io.BytesIO(wav_header(22_050, len(sound)) + sound)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (22_050, 1, 2)
        assert np.frombuffer(read.readframes(99), "<i2").tolist() == [0, 16384, -32767, 32767]


def test_a_streaming_header_says_that_the_length_is_unknown():
    header = wav_header(22_050, None)
    assert len(header) == 44
    assert int.from_bytes(header[4:8], "little") == int.from_bytes(header[40:44], "little") == STREAMING_SIZE


def test_seconds():
    assert seconds(44_100, 22_050) == 1.0


@given(st.integers(0, 3000), st.lists(st.integers(0, 3000), max_size=8), st.integers(0, 2**32 - 1))
def test_resampling_gives_the_same_bytes_however_the_sound_is_cut(length: int, cuts: list[int], seed: int):
    sound = np.random.default_rng(seed).integers(-32768, 32767, length, endpoint=True).astype("<i2").tobytes()
    whole = resampled(sound, [])
    assert resampled(sound, cuts) == whole
    assert len(whole) // 2 == math.ceil(length * 160 / 147)


def test_constant_sound_stays_constant():
    out = np.frombuffer(resampled(np.full(4000, 12_345, "<i2").tobytes(), []), "<i2")
    assert set(out[64:-64].tolist()) == {12_345}


@pytest.mark.parametrize("tone_hz", [100, 1000, 5000, 8500])
def test_a_tone_comes_out_as_the_same_tone(tone_hz: int):
    def tone(rate: int, samples: int) -> np.ndarray:
        return 16_000 * np.sin(2 * np.pi * tone_hz * np.arange(samples) / rate)

    out = np.frombuffer(resampled(np.rint(tone(22_050, 22_050)).astype("<i2").tobytes(), []), "<i2")
    error = (out - tone(24_000, len(out)))[200:-200]
    assert np.abs(error).max() < 16, "under −60 dB of the tone"
