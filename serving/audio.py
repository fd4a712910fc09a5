"""Sound on its way out: 16-bit samples, WAV headers, and 24 kHz for clients that expect OpenAI's rate.

Resampling is a linear map that repeats every 147 input samples (22,050 : 24,000 = 147 : 160), so it is one small matrix,
applied block by block, in doubles so that the order of a sum never shows. Promises: the same bytes whether a sound is converted whole or in pieces; constant input stays
constant; `ceil(n·160/147)` samples out for n in.
"""

import math
import struct

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

OPENAI_RATE_HZ = 24_000
STREAMING_SIZE = 0xFFFFFFFF
"""What OpenAI and ffmpeg write when the length is not known yet."""
BYTES_PER_SAMPLE = 2
TAPS_HALF = 16
"""Input samples on each side of an output sample: a 32-tap windowed sinc, flat to 9 kHz."""
KAISER_BETA = 8.0
"""Side lobes under −80 dB, below the last bit of 16."""


def pcm(samples: NDArray[np.float32]) -> bytes:
    """Float −1..1 to 16-bit little-endian; louder is clipped."""
    return bytes(np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())


def wav_header(sample_rate_hz: int, pcm_bytes: int | None) -> bytes:
    """44 bytes of RIFF for mono 16-bit; `None` means streaming, length unknown."""
    data_size = STREAMING_SIZE if pcm_bytes is None else pcm_bytes
    riff_size = STREAMING_SIZE if pcm_bytes is None else pcm_bytes + 36
    byte_rate = sample_rate_hz * BYTES_PER_SAMPLE
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate_hz, byte_rate, BYTES_PER_SAMPLE, 16)
    return struct.pack("<4sI4s", b"RIFF", riff_size, b"WAVE") + form + struct.pack("<4sI", b"data", data_size)


def seconds(pcm_bytes: int, sample_rate_hz: int) -> float:
    """How long `pcm_bytes` of sound play."""
    return pcm_bytes / (BYTES_PER_SAMPLE * sample_rate_hz)


class Resampler:
    """16-bit sound from one rate to another, piece by piece; one object per sound."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        divisor = math.gcd(from_hz, to_hz)
        self._in_block, self._out_block = from_hz // divisor, to_hz // divisor
        self._matrix = _block_matrix(self._in_block, self._out_block)
        self._waiting = np.zeros(TAPS_HALF)
        self._taken = 0
        self._given = 0

    def feed(self, piece: bytes) -> bytes:
        """Convert as much as the samples so far allow."""
        samples = np.frombuffer(piece, dtype="<i2").astype(np.float64)
        self._taken += len(samples)
        return self._convert(samples)

    def finish(self) -> bytes:
        """What was held back, padded with silence and cut to the exact length."""
        wanted = -(-self._taken * self._out_block // self._in_block)
        tail = self._convert(np.zeros(self._in_block + 2 * TAPS_HALF), at_most=wanted - self._given)
        self._waiting = np.zeros(TAPS_HALF)
        return tail

    def _convert(self, samples: NDArray[np.float64], at_most: int | None = None) -> bytes:
        have = np.concatenate([self._waiting, samples])
        window = self._matrix.shape[0]
        blocks = max(0, (len(have) - window) // self._in_block + 1)
        if blocks == 0:
            self._waiting = have
            return b""
        windows = sliding_window_view(have, window)[:: self._in_block][:blocks]
        self._waiting = have[blocks * self._in_block :]
        out = np.rint(np.clip(windows @ self._matrix, -32768, 32767)).astype("<i2").reshape(-1)[:at_most]
        self._given += len(out)
        return bytes(out.tobytes())


def _block_matrix(in_block: int, out_block: int) -> NDArray[np.float64]:
    """[in_block + 2·TAPS_HALF, out_block]: one block of output as weights on its window of input."""
    matrix = np.zeros((in_block + 2 * TAPS_HALF, out_block), dtype=np.float64)
    cutoff = min(1.0, out_block / in_block)
    for phase in range(out_block):
        centre = phase * in_block / out_block
        first = math.floor(centre) - TAPS_HALF + 1
        distance = np.arange(first, first + 2 * TAPS_HALF) - centre
        inside = np.clip(1.0 - (distance / TAPS_HALF) ** 2, 0.0, None)
        taps = cutoff * np.sinc(cutoff * distance) * np.i0(KAISER_BETA * np.sqrt(inside))
        matrix[first + TAPS_HALF : first + 3 * TAPS_HALF, phase] = taps / taps.sum()
    return matrix
