"""What is read from an inspected container, and told from an engine's times: pure, so by example."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ports import Instance, ReplicaSpec
from agent.runtimes.containers import ContainerTemplate, recipe_of
from agent.runtimes.docker_gpus import gpu_references, resolved
from agent.runtimes.docker_times import NANO, unix_ns
from agent.runtimes.incarnations import KEPT, Incarnation, Incarnations
from contracts.vocabulary import GpuUuid, HostId, ProfileId, Region, ReplicaId

LABEL = "trimtab.replica"
PRESENT = (GpuUuid("GPU-aaaa"), GpuUuid("GPU-bbbb"), GpuUuid("GPU-cccc"))


def container(*, labels=None, requests=None, env=()):
    return {"Config": {"Labels": labels, "Env": list(env)}, "HostConfig": {"DeviceRequests": requests}}


def request(**fields):
    return {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": [["gpu"]], **fields}


@pytest.mark.parametrize(
    ("given_", "gpus"),
    [
        (container(), ()),
        (container(requests=[request(DeviceIDs=["GPU-bbbb"])]), ("GPU-bbbb",)),
        (container(requests=[request(DeviceIDs=["0", "2"])]), ("GPU-aaaa", "GPU-cccc")),
        (container(requests=[request(Count=-1)]), PRESENT),
        (container(requests=[request(Count=2)]), ("GPU-aaaa", "GPU-bbbb")),
        (container(requests=[request(Driver="nvidia", Capabilities=None, Count=-1)]), PRESENT),
        (container(requests=[request(Capabilities=[["tpu"]], Count=-1)]), ()),
        (container(env=["NVIDIA_VISIBLE_DEVICES=GPU-cccc,1"]), ("GPU-cccc", "GPU-bbbb")),
        (container(env=["NVIDIA_VISIBLE_DEVICES=all"]), PRESENT),
        (container(env=["NVIDIA_VISIBLE_DEVICES=void"]), ()),
        (container(env=["NVIDIA_VISIBLE_DEVICES=9"]), ()),
        (container(requests=[request(DeviceIDs=["0"])], env=["NVIDIA_VISIBLE_DEVICES=1"]), ("GPU-aaaa",)),
        (container(labels={f"{LABEL}.gpus": "2"}, requests=[request(Count=-1)]), ("GPU-cccc",)),
        (container(labels={f"{LABEL}.gpus": "none"}, requests=[request(Count=-1)]), ()),
        (container(requests=[request(DeviceIDs=["MIG-1234"])]), ("MIG-1234",)),
        (container(requests=[request(DeviceIDs=["GPU-bb"])]), ("GPU-bbbb",)),
    ],
)
def test_the_gpus_of_a_container(given_, gpus):
    assert resolved(gpu_references(given_, LABEL), PRESENT) == gpus


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [
        ("1970-01-01T00:00:01Z", NANO),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T02:00:01.25+02:00", 1_250_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800 * NANO),
    ],
)
def test_times_of_the_engine(stamp, ns):
    assert unix_ns(stamp) == ns


def test_what_is_no_time_is_refused():
    with pytest.raises(ValueError, match="yesterday"):
        unix_ns("yesterday")


# ── incarnations ──────────────────────────────────────────────────────────────────────────────────────────────────────
def begun(number, *, box="c"):
    return Incarnation(Instance(ReplicaId("r"), f"{box}@{number}"), box, number * 10)


def test_a_death_belongs_to_the_newest_incarnation_that_had_begun():
    seen = Incarnations()
    for number in (1, 3, 2):
        seen.learn(begun(number))
    assert seen.who_died("c", 25) == begun(2).instance
    assert seen.who_died("c", 30) == begun(3).instance
    assert seen.who_died("c", 9) is None
    assert seen.who_died("other", 30) is None
    assert seen.newest() == (begun(3),)


@given(st.lists(st.integers(min_value=0, max_value=40), max_size=200))
def test_an_end_is_told_once_and_memory_is_bounded(numbers):
    seen, told, known = Incarnations(), [], set()
    for number in numbers:
        seen.learn(begun(number))
        if number not in known and seen.tell(begun(number).instance):
            told.append(number)
        known.add(number)
        assert not seen.tell(begun(number).instance) or len(known) > KEPT
    assert len(told) == len(set(told))
    assert len(seen._seen.get(ReplicaId("r"), ())) <= KEPT


# ── recipes ───────────────────────────────────────────────────────────────────────────────────────────────────────────
SPEC = ReplicaSpec(ReplicaId("a-0"), Region("eu"), HostId("a"), "127.0.0.1", 8100, ProfileId("full"))
TEMPLATE = ContainerTemplate("image:1", ("serve",), {"B": "2", "A": "1"})


def test_equal_recipes_have_equal_fingerprints_whatever_the_order_of_the_environment():
    other = replace(TEMPLATE, environment={"A": "1", "B": "2"})
    assert recipe_of(TEMPLATE, SPEC).fingerprint == recipe_of(other, SPEC).fingerprint


@pytest.mark.parametrize(
    ("template", "spec"),
    [
        (replace(TEMPLATE, image="image:2"), SPEC),
        (replace(TEMPLATE, memory_bytes=1 << 30), SPEC),
        (replace(TEMPLATE, cpus=2.0), SPEC),
        (TEMPLATE, replace(SPEC, profile=ProfileId("light"))),
        (TEMPLATE, replace(SPEC, gpus=(GpuUuid("GPU-aaaa"),))),
        (TEMPLATE, replace(SPEC, port=8101)),
    ],
)
def test_whatever_changes_the_container_changes_its_fingerprint(template, spec):
    assert recipe_of(template, spec).fingerprint != recipe_of(TEMPLATE, SPEC).fingerprint
