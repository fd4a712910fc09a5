"""How far two sounds are apart: the gate that a profile must pass, and the bench's yardstick.

Word error rate does not hear noise: an int8 HiFi-GAN sounds like a waterfall at an unchanged WER. The log-mel distance
does hear it (full int8: 0.96–1.5; the light vocoder: 0.26), needs only numpy and runs in milliseconds.
"""

import numpy as np
from numpy.typing import NDArray

from serving.core.profiles import SelfTest

WINDOW = 1024
HOP = 256
MELS = 80
FLOOR = 1e-4
"""−80 dB: below it there is nothing to hear."""
LOG_MEL_L1_MAX = 0.5
"""Between the light vocoder (0.26) and the best int8 HiFi-GAN that hisses (0.96)."""


def log_mel_l1(reference: NDArray[np.float32], candidate: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Mean absolute difference of natural-log mel spectra over the common length; 0 is equal."""
    length = min(len(reference), len(candidate))
    bank = _mel_bank(sample_rate_hz)
    return float(np.abs(_log_mel(reference[:length], bank) - _log_mel(candidate[:length], bank)).mean())


def compared(expected: NDArray[np.float32], got: NDArray[np.float32]) -> SelfTest:
    """A self-test's evidence: is it sound, how close, how loud."""
    if got.shape != expected.shape or not np.isfinite(got).all():
        return SelfTest(finite=False, snr_db=float("-inf"), energy_db=float("-inf"))
    signal = float(np.square(expected, dtype=np.float64).sum()) + 1e-12
    noise = float(np.square(expected - got, dtype=np.float64).sum()) + 1e-12
    energy = float(np.square(got, dtype=np.float64).sum()) + 1e-12
    return SelfTest(
        finite=True, snr_db=float(10 * np.log10(signal / noise)), energy_db=float(10 * np.log10(energy / signal))
    )


def _log_mel(samples: NDArray[np.float32], bank: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(samples.astype(np.float64), WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    magnitude = np.abs(np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1], axis=1))
    return np.asarray(np.log(np.maximum(magnitude @ bank.T, FLOOR)))


def _mel_bank(sample_rate_hz: int) -> NDArray[np.float64]:
    """Triangular filters, evenly spaced on the HTK mel scale."""
    top_mel = 2595 * np.log10(1 + sample_rate_hz / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top_mel, MELS + 2) / 2595) - 1)
    frequencies = np.linspace(0, sample_rate_hz / 2, WINDOW // 2 + 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))
