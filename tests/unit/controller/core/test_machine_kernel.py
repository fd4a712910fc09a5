"""The kernel about machines: every refusal by example, and its laws over random fleets and ledgers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import LIGHT_INT8, MACHINE_ORDERS, GpuAction, OrderKind, ReplicaState
from controller.core.actions import MachineAction, ResetGpu, Stage, Verdict
from controller.core.fleet import Fleet
from controller.core.ledger import hosts_of
from controller.core.plans import reboot_host, reset_gpu, restart, scale_in, scale_out, switch_profile
from controller.core.policy import Policy, PolicyError
from controller.core.refusals import (
    AttemptsExhausted,
    BelowNeededCapacity,
    Cooldown,
    GpuUnfit,
    HostBusy,
    HostUnfit,
    InUse,
    NeedsInspection,
    NotPermitted,
    RegionBusy,
    StaleSignals,
    TargetChanged,
)
from controller.core.safety import why_unsafe

ALLOWED = Policy(gpu_reset_allowed=True, host_reboot_allowed=True)
GPU = "GPU-eu-west-a-0"


@pytest.fixture
def fleet(make):
    """GPU 0 of eu-west-a needs a reset; nothing runs on that host any more."""
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", GpuAction.RESET_GPU))
    return Fleet(tuple(replace(h, replicas=()) if h.id == "eu-west-a" else h for h in fleet.hosts))


@pytest.fixture
def refusal(make, fleet):
    """Why this may not begin now, as a type; None when it may."""

    def ask(action, fleet=fleet, ledger=None, policy=ALLOWED):
        refusal = why_unsafe(action, fleet, ledger or make.ledger(fleet), policy, make.now)
        return None if refusal is None else type(refusal)

    return ask


def reset(fleet):
    return reset_gpu(*fleet.gpu(GPU))


def reboot(fleet, host="eu-west-a"):
    return reboot_host(fleet.host(host), "xid 79")


def test_an_empty_machine_may_be_touched_where_both_sides_permit_it(fleet, refusal):
    assert refusal(reset(fleet)) is None
    assert refusal(reboot(fleet)) is None


def test_by_default_neither_is_permitted(make, fleet, refusal):
    assert refusal(reset(fleet), policy=make.policy) is NotPermitted
    assert refusal(reboot(fleet), policy=make.policy) is NotPermitted


@pytest.mark.parametrize("missing", sorted(MACHINE_ORDERS))
def test_the_host_must_permit_it_too(fleet, refusal, missing):
    strict = Fleet(tuple(replace(host, machine_orders=MACHINE_ORDERS - {missing}) for host in fleet.hosts))
    assert (refusal(reset(strict), strict) is NotPermitted) is (missing is OrderKind.RESET_GPU)
    assert (refusal(reboot(strict), strict) is NotPermitted) is (missing is OrderKind.REBOOT_HOST)


@pytest.mark.parametrize(
    ("state", "holds"),
    [
        (ReplicaState.READY, True),
        (ReplicaState.STARTING, True),
        (ReplicaState.HUNG, True),
        (ReplicaState.UNREADY, True),
        (ReplicaState.CRASHED, False),
        (ReplicaState.QUARANTINED, False),
        (ReplicaState.STOPPED, False),
    ],
)
def test_whatever_may_have_a_process_holds_the_machine(make, refusal, state, holds):
    fleet = make.changed(make.gpu_grid(each=1), "eu-west-a-0", state=state)
    assert refusal(reset(fleet), fleet) is (InUse if holds else None)
    assert refusal(reboot(fleet), fleet) is (InUse if holds else None)


def test_another_gpu_may_be_in_use_during_a_reset_but_not_during_a_reboot(make, refusal):
    fleet = make.gpu_grid()
    empty = Fleet(tuple(replace(host, replicas=host.replicas[1:]) for host in fleet.hosts))
    assert refusal(reset(empty), empty) is None
    assert refusal(reboot(empty), empty) is InUse


@pytest.mark.parametrize("gpus", [(), ("MIG-1",), ("GPU-eu-west-a-1", "MIG-1")], ids=["unknown", "a part", "both"])
def test_a_replica_whose_whole_devices_are_not_known_may_use_any(make, refusal, gpus):
    fleet = stripped(make.changed(make.gpu_grid(), "eu-west-a-1", gpus=gpus), "eu-west-a-0")
    assert refusal(reset(fleet), fleet) is InUse
    elsewhere = stripped(make.gpu_grid(), "eu-west-a-0")
    assert refusal(reset(elsewhere), elsewhere) is None


def stripped(fleet, *names):
    hosts = (replace(host, replicas=tuple(r for r in host.replicas if r.id not in names)) for host in fleet.hosts)
    return Fleet(tuple(hosts))


def test_only_the_boot_and_the_gpu_that_were_judged_are_touched(fleet, refusal):
    assert refusal(replace(reboot(fleet), boot_id="boot-0")) is TargetChanged
    assert refusal(replace(reset(fleet), gpu="GPU-other")) is TargetChanged


def test_a_host_that_does_not_report_is_not_touched(make, fleet, refusal):
    silent = Fleet(tuple(replace(host, report_age_s=20.0) for host in fleet.hosts))
    assert refusal(reset(silent), silent) is StaleSignals


def opened(make, action, **fields):
    return make.record(action, Stage.ORDERED, id="m1", **fields)


def test_a_machine_waits_for_everything_that_is_open_there(make, fleet, refusal):
    for other in (reset(fleet), scale_out(fleet, "eu-west", make.policy), make.restart("eu-west-a-1")):
        if "eu-west-a" in hosts_of(other):
            assert refusal(reset(fleet), ledger=make.ledger(fleet, opened(make, other))) is HostBusy
    elsewhere = opened(make, make.restart("eu-west-b-1"))
    assert refusal(reset(fleet), ledger=make.ledger(fleet, elsewhere)) is None


def test_nothing_is_begun_on_a_machine_that_is_being_touched(make, refusal):
    fleet = make.gpu_grid()
    replica = fleet.replica("eu-west-a-1")
    wishes = (
        restart(replica, graceful=False),
        scale_in(replica),
        switch_profile(fleet, "eu-west", LIGHT_INT8.id, make.policy),
        replace(scale_out(fleet, "eu-west", make.policy), host="eu-west-a", replica="eu-west-a-2"),
    )
    for open_ in (reset(fleet), reboot(fleet)):
        ledger = make.ledger(fleet, opened(make, open_))
        assert [refusal(wish, fleet, ledger) for wish in wishes] == [HostBusy] * 4


def test_one_machine_of_a_region_is_touched_at_a_time(make, refusal):
    fleet = make.gpu_grid()
    empty = Fleet(tuple(replace(h, replicas=()) if h.id != "eu-west-b" else h for h in fleet.hosts))
    for region, expected in (("eu-west", RegionBusy), ("us-east", None)):
        host = fleet.host(f"{region}-b")
        for open_ in (reboot(fleet, host.id), reset_gpu(host, host.gpus[0])):
            ledger = make.ledger(fleet, opened(make, open_))
            assert refusal(reboot(empty), empty, ledger) is expected
            assert refusal(reset(empty), empty, ledger) is expected


def test_no_reboot_while_the_rest_cannot_carry_the_load(make, fleet, refusal):
    assert refusal(reboot(fleet), ledger=make.ledger(fleet, rps=17.0)) is None
    assert refusal(reboot(fleet), ledger=make.ledger(fleet, rps=18.0)) is BelowNeededCapacity
    unknown = {"eu-west": make.load(fleet, "eu-west", known=False)}
    assert refusal(reboot(fleet), ledger=make.ledger(fleet, loads=unknown)) is StaleSignals


def closed(make, action, verdict, age_s, number=0, ordered=True, **fields):
    record = make.record(action, Stage.CLOSED, age_s, verdict=verdict, id=f"m{number}", **fields)
    return replace(record, order_keys=("k",) if ordered else ())


def test_two_resets_of_a_gpu_and_one_reboot_of_a_host_a_day(make, fleet, refusal):
    def after(action, *ages_s, ordered=True):
        past = [closed(make, action, Verdict.IMPROVED, s, n, ordered) for n, s in enumerate(ages_s)]
        return refusal(action, ledger=make.ledger(fleet, *past))

    assert after(reset(fleet), 4000.0) is None
    assert after(reset(fleet), 8000.0, 4000.0) is NeedsInspection
    assert after(reset(fleet), 8000.0, 4000.0, ordered=False) is None
    assert after(reset(fleet), 90_000.0, 88_000.0) is None
    assert after(reboot(fleet), 4000.0) is NeedsInspection


def test_what_its_host_refused_never_happened_and_is_not_tried_for_ever(make, fleet, refusal):
    def after(times):
        past = [closed(make, reboot(fleet), Verdict.FAILED, 4000.0, n, refused=True) for n in range(times)]
        return refusal(reboot(fleet), ledger=make.ledger(fleet, *past))

    assert after(ALLOWED.attempts_max - 1) is None
    assert after(ALLOWED.attempts_max) is AttemptsExhausted


def test_a_machine_rests_between_two_attempts(make, fleet, refusal):
    just_now = closed(make, reset(fleet), Verdict.FAILED, 1.0)
    assert refusal(reset(fleet), ledger=make.ledger(fleet, just_now)) is Cooldown


def test_nothing_is_started_on_an_unfit_gpu(make, refusal):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", GpuAction.DRAIN_GPU))
    down = make.changed(fleet, "eu-west-a-0", state=ReplicaState.CRASHED)
    assert refusal(make.restart(graceful=False), down) is GpuUnfit
    withheld = make.changed(make.grid(), "eu-west-a-0", state=ReplicaState.CRASHED, withheld="GPU-x: lost")
    assert refusal(make.restart(graceful=False), withheld) is GpuUnfit
    dead = make.gpu_grid(*(make.gpu(f"eu-west-a-{n}", reason="lost") for n in (0, 1)))
    start = replace(scale_out(make.gpu_grid(), "eu-west", make.policy), host="eu-west-a", replica="eu-west-a-2")
    assert refusal(start, dead) is HostUnfit


def test_what_serves_nobody_may_be_stopped_below_what_is_configured(make, refusal):
    fleet = make.gpu_grid()
    hung = make.changed(fleet, "eu-west-a-0", state=ReplicaState.HUNG)
    policy = replace(ALLOWED, replicas_min=4)
    assert refusal(scale_in(hung.replica("eu-west-a-0")), hung, policy=policy) is None
    assert refusal(scale_in(fleet.replica("eu-west-a-0")), fleet, policy=policy) is not None


def test_caps_of_a_day_need_a_memory_of_a_day():
    with pytest.raises(PolicyError, match="history_s"):
        Policy(gpu_reset_allowed=True, history_s=3600.0)
    assert Policy(history_s=3600.0)


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
@st.composite
def worlds(draw, make):
    """GPUs and replicas in any condition, permissions of any kind, machine orders open and closed."""
    actions = st.sampled_from(list(GpuAction))
    base = make.gpu_grid(hosts=draw(st.integers(1, 3)), each=draw(st.integers(1, 2)))
    hosts = []
    for host in base.hosts:
        gpus = tuple(replace(gpu, recommended_action=draw(actions), up=draw(st.booleans())) for gpu in host.gpus)
        kept = tuple(
            replace(replica, state=draw(st.sampled_from(list(ReplicaState))))
            for replica in host.replicas
            if draw(st.booleans())
        )
        permits = frozenset(draw(st.sets(st.sampled_from(sorted(MACHINE_ORDERS)))))
        hosts.append(replace(host, gpus=gpus, replicas=kept, machine_orders=permits))
    fleet = Fleet(tuple(hosts))
    records = []
    for number in range(draw(st.integers(0, 4))):
        host = draw(st.sampled_from(fleet.hosts))
        action = draw(st.sampled_from([reboot_host(host, "x"), *(reset_gpu(host, gpu) for gpu in host.gpus)]))
        stage = draw(st.sampled_from([Stage.DRAINING, Stage.ORDERED, Stage.VERIFYING, Stage.CLOSED]))
        verdict = draw(st.sampled_from(list(Verdict))) if stage is Stage.CLOSED else None
        record = make.record(action, stage, draw(st.floats(0, 80_000)), verdict=verdict, id=f"m{number}")
        records.append(replace(record, order_keys=("k",) if draw(st.booleans()) else ()))
    policy = Policy(gpu_reset_allowed=draw(st.booleans()), host_reboot_allowed=draw(st.booleans()))
    ledger = make.ledger(fleet, *records, rps=draw(st.floats(0, 40)), paused=draw(st.booleans()))
    return fleet, ledger, policy


@given(data=st.data())
def test_whatever_is_done_to_a_machine_is_permitted_idle_alone_and_within_its_caps(make, data):
    fleet, ledger, policy = data.draw(worlds(make))
    for host in fleet.hosts:
        for action in (reboot_host(host, "x"), *(reset_gpu(host, gpu) for gpu in host.gpus)):
            if why_unsafe(action, fleet, ledger, policy, make.now) is None:
                keeps_every_law(action, host, ledger, policy)


def keeps_every_law(action, host, ledger, policy):
    is_reset = isinstance(action, ResetGpu)
    assert policy.gpu_reset_allowed if is_reset else policy.host_reboot_allowed
    assert (OrderKind.RESET_GPU if is_reset else OrderKind.REBOOT_HOST) in host.machine_orders
    assert not ledger.paused
    assert not [r for r in host.replicas if not r.ended and (not is_reset or action.gpu in r.gpus)]
    assert not [record for record in ledger.open if host.id in hosts_of(record.action)]
    machines = [record.action for record in ledger.open if isinstance(record.action, MachineAction)]
    assert not [other for other in machines if other.region == action.region]
    past = [r for r in ledger.actions if r.order_keys and r.action.kind is action.kind]
    same = [r for r in past if (r.action.gpu == action.gpu if is_reset else r.action.host == action.host)]
    assert len(same) < (policy.gpu_resets_max_per_day if is_reset else policy.host_reboots_max_per_day)
    if not is_reset:
        load = ledger.loads[action.region]
        assert len(load.serving) * policy.utilisation_max >= load.offered_workers - 1e-6


@given(data=st.data())
def test_no_start_ever_lands_on_a_machine_that_is_touched_or_on_an_unfit_gpu(make, data):
    fleet, ledger, policy = data.draw(worlds(make))
    touched = {r.action.host for r in ledger.open if isinstance(r.action, MachineAction)}
    for replica in fleet.replicas():
        if why_unsafe(restart(replica, graceful=replica.ready), fleet, ledger, policy, make.now) is None:
            assert replica.locality.host not in touched
            assert all(gpu.fit for gpu in fleet.gpus_of(replica))
    for region in fleet.regions:
        start = scale_out(fleet, region, policy)
        if start is not None and why_unsafe(start, fleet, ledger, policy, make.now) is None:
            assert start.host not in touched
            assert any(gpu.fit for gpu in fleet.host(start.host).gpus)
