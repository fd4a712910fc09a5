"""One GPU's thread over a binding that misbehaves: what it asks again, and what it never takes for an answer."""

from types import SimpleNamespace

import pynvml
import pytest

from agent.probes.nvml import device as device_module
from agent.probes.nvml.device import Device
from agent.probes.nvml.ending import Ending
from agent.probes.nvml.gpm import SmActivity
from agent.probes.nvml.mig import processes, slices
from agent.probes.nvml.reader import Reader, Reading


class Binding:
    """Stands in for the calls that a test names; each answers with a value, or raises the code of an error."""

    def __init__(self, monkeypatch):
        self.answers = {}
        self.monkeypatch = monkeypatch

    def answers_with(self, **answers):
        for name, answer in answers.items():
            self.answers[name] = answer
            self.monkeypatch.setattr(pynvml, name, lambda *asked, name=name: self._answer(name, asked))

    def _answer(self, name, asked):
        answer = self.answers[name]
        if isinstance(answer, pynvml.NVMLError):
            raise answer
        return answer(*asked) if callable(answer) else answer


@pytest.fixture
def binding(monkeypatch):
    return Binding(monkeypatch)


@pytest.fixture
def said(monkeypatch):
    """What the device says."""
    facts = []
    monkeypatch.setattr(device_module, "say", lambda **fact: facts.append(fact))
    return facts


class Listener:
    """Counts registrations."""

    def __init__(self):
        self.handles = []

    def register(self, index, uuid, handle):
        self.handles.append(handle)
        return True


def unknown():
    return pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)


def doubtful(handle):
    raise unknown()


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def gpu(binding, said):
    """A device of which one reading answers 999 for ever."""
    binding.answers_with(
        nvmlDeviceGetHandleByIndex=lambda index: 0x10,
        nvmlDeviceGetHandleByUUID=lambda uuid: 0x10,
        nvmlDeviceGetUUID="GPU-a",
        nvmlDeviceGetMigMode=(0, 0),
        nvmlDeviceGetComputeRunningProcesses=[],
    )
    device = Device(index=0, driver_major=570, events=Listener(), ending=Ending())
    device._fast = Reader((Reading("bad", (doubtful,)), Reading("good", (lambda handle: {"good": 1.0},))))
    device._slow = Reader(())
    device._ticks = 1  # no slow readings
    return device


def test_a_handle_that_is_asked_for_anew_and_is_the_same_is_not_registered_again(gpu, said):
    for _ in range(3):
        gpu.tick()
    assert [fact["up"] for fact in said] == [True] * 3
    assert gpu.events.handles == [0x10]


def test_another_handle_and_a_device_that_was_down_are_registered_again(gpu, binding):
    gpu.tick()
    binding.answers_with(nvmlDeviceGetHandleByUUID=lambda uuid: 0x20)
    gpu.tick()
    assert gpu.events.handles == [0x10, 0x20]
    binding.answers_with(nvmlDeviceGetHandleByUUID=pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST))
    gpu.tick()
    binding.answers_with(nvmlDeviceGetHandleByUUID=lambda uuid: 0x20)
    gpu.tick()
    assert gpu.events.handles == [0x10, 0x20, 0x20]


# ── instances and processes ───────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND])
def test_a_device_without_mig_has_no_instances(binding, code):
    binding.answers_with(nvmlDeviceGetMigMode=pynvml.NVMLError(code))
    assert slices(0x10) == ()


def test_instances_that_could_not_be_asked_for_are_not_none(binding):
    binding.answers_with(nvmlDeviceGetMigMode=unknown())
    assert slices(0x10) is None


def test_a_device_keeps_the_instances_that_it_cannot_ask_for_just_now(gpu, binding, said):
    known = SimpleNamespace(uuid="MIG-1", gpu_instance=1, compute_instance=0, profile="1g.10gb", handle=0x11)
    binding.answers_with(nvmlDeviceGetMigMode=unknown(), nvmlDeviceGetMemoryInfo=SimpleNamespace(used=1, total=2))
    gpu._slices = (known,)
    gpu.tick()
    gpu.tick()
    assert [[each["uuid"] for each in fact["mig"]] for fact in said] == [["MIG-1"]] * 2


def test_processes_that_could_not_be_asked_for_are_not_none_at_all(binding):
    binding.answers_with(nvmlDeviceGetComputeRunningProcesses=unknown())
    assert processes(0x10) is None
    binding.answers_with(nvmlDeviceGetComputeRunningProcesses=[])
    assert processes(0x10) == []


# ── GPM ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_first_sample_that_fails_is_taken_again(binding):
    taken = []

    def compare(query):
        for slot in range(query.numMetrics):
            query.metrics[slot].value = 50.0

    samples = iter([pynvml.c_nvmlGpmSample_t(), pynvml.c_nvmlGpmSample_t()])
    binding.answers_with(
        nvmlGpmQueryDeviceSupport=SimpleNamespace(isSupportedDevice=1),
        nvmlGpmSampleAlloc=lambda: next(samples),
        nvmlGpmSampleGet=unknown(),
        nvmlGpmMetricsGet=compare,
    )
    activity = SmActivity()
    with pytest.raises(pynvml.NVMLError):
        activity.read(0x10)
    binding.answers_with(nvmlGpmSampleGet=lambda handle, sample: taken.append(id(sample)))
    assert activity.read(0x10) == {}
    assert activity.read(0x10) == {"sm_utilization_ratio": 0.5, "sm_occupancy_ratio": 0.5}
    assert len(set(taken)) == 2
