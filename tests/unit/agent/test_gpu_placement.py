"""Which GPUs a replica gets: what it had, else the fit ones that carry least, in PCI order, the same every time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.placement import Device, NoFitGpu, hold, place
from contracts.vocabulary import GpuUuid

A, B, C = GpuUuid("GPU-a"), GpuUuid("GPU-b"), GpuUuid("GPU-c")


def device(gpu: GpuUuid, replicas: int = 0, unfit: str | None = None) -> Device:
    return Device(gpu=gpu, unfit=unfit, replicas=replicas)


EXAMPLES = [
    ("a host without GPUs", (), [], 1, ()),
    ("replicas are not placed", (), [device(A)], 0, ()),
    ("the first start on an empty host", (), [device(A), device(B)], 1, (A,)),
    ("the least used is next", (), [device(A, 2), device(B, 1), device(C, 1)], 1, (B,)),
    ("it keeps what it had, however full", (A,), [device(A, 5), device(B)], 1, (A,)),
    ("it moves off an unfit one", (A,), [device(A, 0, "lost"), device(B, 3)], 1, (B,)),
    ("two GPUs: the fit one stays, the other is new", (B, A), [device(A, 0, "lost"), device(B), device(C)], 2, (B, C)),
    ("fewer GPUs than before: the first of them", (B, A), [device(A), device(B)], 1, (B,)),
    ("what it had is gone from the host", (C,), [device(A), device(B)], 1, (A,)),
]


@pytest.mark.parametrize(
    ("had", "devices", "wanted", "expected"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES]
)
def test_placement(had, devices, wanted, expected):
    assert place(had, devices, wanted) == expected


def test_without_a_fit_gpu_it_says_what_is_wrong_with_each():
    verdict = place((), [device(A, 0, "lost"), device(B, 0, "reset required")], 1)
    assert verdict == NoFitGpu("1 fit GPU wanted, of 2 here (GPU-a: lost; GPU-b: reset required)")


def test_more_gpus_wanted_than_there_are():
    assert place((), [device(A)], 2) == NoFitGpu("2 fit GPUs wanted, of 1 here")


def test_holding_means_exactly_these_and_all_of_them_fit():
    devices = [device(A), device(B, 0, "lost")]
    assert hold((A,), devices) == (A,)
    assert hold((A, B), devices) == NoFitGpu("GPU-b: lost")
    assert hold((C,), devices) == NoFitGpu("GPU-c: it is not on this host")


HOSTS = st.lists(
    st.builds(
        device,
        st.sampled_from([GpuUuid(f"GPU-{n}") for n in range(8)]),
        st.integers(0, 4),
        st.sampled_from([None, "lost"]),
    ),
    max_size=8,
    unique_by=lambda each: each.gpu,
)
HAD = st.lists(st.sampled_from([GpuUuid(f"GPU-{n}") for n in range(8)]), max_size=3, unique=True)


@given(HAD, HOSTS, st.integers(0, 4))
def test_a_placement_is_distinct_fit_complete_and_the_same_every_time(had, devices, wanted):
    placed = place(had, devices, wanted)
    assert placed == place(had, devices, wanted)
    fit = [each.gpu for each in devices if each.unfit is None]
    if isinstance(placed, NoFitGpu):
        assert len(fit) < wanted
        return
    assert len(placed) == len(set(placed)) == (wanted if devices else 0)
    assert set(placed) <= set(fit)
    kept = [gpu for gpu in had if gpu in fit][:wanted]
    assert list(placed[: len(kept)]) == kept or not devices


@given(st.integers(1, 8), st.integers(0, 24))
def test_replicas_that_come_one_after_another_are_spread_evenly(gpus, replicas):
    names = [GpuUuid(f"GPU-{n}") for n in range(gpus)]
    load = dict.fromkeys(names, 0)
    for _ in range(replicas):
        (chosen,) = place((), [device(gpu, load[gpu]) for gpu in names], 1)
        load[chosen] += 1
    assert max(load.values()) - min(load.values()) <= 1
    assert list(load.values()) == sorted(load.values(), reverse=True)  # in PCI order
