"""ONNX Runtime on the CPU: the engine that speaks everywhere.

One intra-op thread per session, because a second thread gains 1.0–1.7× while a second worker gains 2× (measured).
Graphs are optimised once, by `prepare`, and loaded as they are: 0.08 s instead of 0.4 s. `run` frees the interpreter
lock and may be called from several threads, so all workers share one session and its weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serving.ports import EngineError, Latent, Samples

NOISE_SCALE = 0.667
NOISE_WIDTH = 0.8
"""The voice's own inference defaults."""
ORT_LOG_ERRORS = 3
_ORT_ERRORS = tuple(
    error
    for error in vars(ort.capi.onnxruntime_pybind11_state).values()
    if isinstance(error, type) and issubclass(error, Exception)
)
"""ONNX Runtime has a dozen unrelated exception classes and no common base."""


def open_session(path: Path, *, optimise_to: Path | None = None) -> ort.InferenceSession:
    """Load a graph as it is; or, with `optimise_to`, optimise it for any CPU and save the result there."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ORT_LOG_ERRORS
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_DISABLE_ALL if optimise_to is None else levels.ORT_ENABLE_EXTENDED
    if optimise_to is not None:
        options.optimized_model_filepath = str(optimise_to)
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _ORT_ERRORS as error:
        msg = f"could not load {path.name}"
        raise EngineError(msg) from error


class OnnxAcoustic:
    """`Acoustic` of a VITS voice split before its vocoder."""

    def __init__(self, session: ort.InferenceSession, *, deterministic: bool = False) -> None:
        self._session = session
        self._noise = (0.0, 0.0) if deterministic else (NOISE_SCALE, NOISE_WIDTH)

    def latent(self, ids: Sequence[int], *, speed: float) -> Latent:
        """[192, frames]; about 2.2 frames per id."""
        noise, width = self._noise
        feeds: dict[str, NDArray[Any]] = {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array([noise, 1.0 / speed, width], dtype=np.float32),
        }
        return np.asarray(_run(self._session, feeds)[0])


class OnnxVocoder:
    """`Vocoder` from one input [1, channels, frames] to one output of sound."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    def samples(self, window: Latent) -> Samples:
        """`window` as sound."""
        batch = np.ascontiguousarray(window[np.newaxis], dtype=np.float32)
        return _run(self._session, {self._input: batch}).reshape(-1)


def _run(session: ort.InferenceSession, feeds: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    try:
        output: NDArray[np.float32] = session.run(None, feeds)[0]
    except _ORT_ERRORS as error:
        msg = "the ONNX engine failed in a step"
        raise EngineError(msg) from error
    return output
