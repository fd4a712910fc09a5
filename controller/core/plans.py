"""Plans: complete actions with their reason, not yet judged; and the builders that make them from a fleet.

A builder returns None when there is nothing to build (no free slot, no lighter profile, no spare capacity): that rung of
the ladder does not exist here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.vocabulary import HostId, ProfileId, Region
from controller.core.actions import (
    Action,
    ActionKind,
    RebootHost,
    ReplicaRef,
    ResetGpu,
    Restart,
    ScaleIn,
    ScaleOut,
    Shift,
    SwitchProfile,
)
from controller.core.capacity import FULL_PROFILE, LIGHT_PROFILE, RegionLoad
from controller.core.findings import Evidence
from controller.core.fleet import Fleet, Host, Replica, TrafficIntent
from controller.core.gpus import Gpu
from controller.core.ledger import LOOP, Ledger
from controller.core.policy import Policy
from controller.core.signals import KNOWN
from controller.core.traffic import row_of, with_row


@dataclass(frozen=True, slots=True)
class Plan:
    """One action and why; the kernel judges it next."""

    action: Action
    cause: str
    evidence: Evidence = ()
    origin: str = LOOP


def restart(replica: Replica, *, graceful: bool) -> Restart:
    """Restart this incarnation, after a drain or at once."""
    return Restart(replica.locality.host, replica.region, replica.id, replica.generation, graceful)


def switch_profile(fleet: Fleet, region: Region, after: ProfileId, policy: Policy) -> SwitchProfile | None:
    """Bring every ready replica of a region that offers `after` and runs something else to it."""
    found = [
        (host.id, replica)
        for host in fleet.hosts_in(region)
        if host.report_age_s <= policy.report_age_s_max
        for replica in host.replicas
        if replica.ready and replica.profile not in {after, None} and after in replica.profiles
    ]
    if not found:
        return None
    return SwitchProfile(
        region=region,
        replicas=tuple(ReplicaRef(host, replica.id, replica.generation) for host, replica in found),
        before=found[0][1].profile or after,
        after=after,
        kind=ActionKind.RESTORE_PROFILE if after == FULL_PROFILE else ActionKind.SWITCH_PROFILE,
    )


def lighten(fleet: Fleet, region: Region, policy: Policy) -> SwitchProfile | None:
    """The light end of the ladder for one region."""
    return switch_profile(fleet, region, LIGHT_PROFILE, policy)


def scale_out(fleet: Fleet, region: Region, policy: Policy, avoid: frozenset[HostId] = frozenset()) -> ScaleOut | None:
    """One more replica, on a reporting host of the region that has a slot and a fit GPU, on the profile the region runs.

    Hosts whose GPUs are all at full speed come first, then those with most free slots.
    """
    hosts = [
        host
        for host in fleet.hosts_in(region)
        if host.free_slots and host.can_start and host.id not in avoid and host.report_age_s <= policy.report_age_s_max
    ]
    if not hosts:
        return None
    host = max(hosts, key=_preference)
    profiles = [replica.profile for replica in fleet.replicas(region) if replica.ready and replica.profile is not None]
    return ScaleOut(host.id, region, host.free_slots[0], profiles[0] if profiles else FULL_PROFILE)


def scale_in(replica: Replica) -> ScaleIn:
    """Stop this incarnation: after a drain if it serves, at once if it does not."""
    host = replica.locality.host
    return ScaleIn(host, replica.region, replica.id, replica.generation, graceful=replica.ready)


def reset_gpu(host: Host, gpu: Gpu) -> ResetGpu:
    """Reset one device."""
    return ResetGpu(host.id, host.locality.region, gpu.uuid, gpu.name(host.id), gpu.trouble(host.id))


def reboot_host(host: Host, because: str) -> RebootHost:
    """Reboot the host, if it still runs this boot."""
    return RebootHost(host.id, host.locality.region, host.boot_id, because)


def shift_away(region: Region, receivers: Iterable[Region], ledger: Ledger, policy: Policy) -> Shift | None:
    """Move what fits: as much of the traffic sent to `region` as the receivers have measured room for."""
    room = _room(region, receivers, ledger, policy)
    before = ledger.traffic
    rows = {g: row for g in _gateways(before) if (row := row_of(before, g)).get(region, 0.0) > 0}
    moving_rps = sum(ledger.demand_rps(gateway) * row[region] for gateway, row in rows.items())
    total_room = sum(room.values())
    if total_room <= 0 or not rows:
        return None
    fraction = 1.0 if moving_rps <= total_room else total_room / moving_rps
    if fraction < policy.shift_min:
        return None
    after = before
    for gateway, row in rows.items():
        moved = row[region] * fraction
        given = {receiver: row.get(receiver, 0.0) + moved * rps / total_room for receiver, rps in room.items()}
        after = with_row(after, gateway, _tidy({**row, **given, region: row[region] - moved}))
    return Shift(region, before, after)


def toward_home(gateway: Region, share: float, ledger: Ledger) -> Shift:
    """One step of the return: `share` of the gateway's traffic to its own region, the rest as it was in proportion."""
    before = ledger.traffic
    row = row_of(before, gateway)
    others = sum(value for region, value in row.items() if region != gateway)
    scale = (1.0 - share) / others if others > 0 else 0.0
    after = with_row(
        before,
        gateway,
        _tidy({region: share if region == gateway else value * scale for region, value in row.items()}),
    )
    return Shift(gateway, before, after, ActionKind.RETURN_TRAFFIC)


def needs_capacity(load: RegionLoad, ready: int, policy: Policy) -> bool:
    """True when so many ready replicas would be busier than the target."""
    return load.offered_workers > policy.utilisation_target * ready * load.workers


def _preference(host: Host) -> tuple[bool, int, HostId]:
    return not any(gpu.slowed for gpu in host.gpus), len(host.free_slots), host.id


def _room(region: Region, receivers: Iterable[Region], ledger: Ledger, policy: Policy) -> dict[Region, float]:
    room: dict[Region, float] = {}
    for receiver in receivers:
        load = ledger.loads.get(receiver)
        if receiver == region or load is None or not load.known or ledger.trust.get(receiver) not in KNOWN:
            continue
        spare_rps = load.spare_rps(policy.utilisation_target)
        if spare_rps > 0:
            room[receiver] = spare_rps
    return room


def _gateways(intent: TrafficIntent) -> list[Region]:
    return sorted({share.gateway for share in intent.shares})


def _tidy(row: Mapping[Region, float]) -> dict[Region, float]:
    """Rounded to a hundredth of a percent and summing to one, so that equal intents compare equal."""
    rounded = {region: round(max(0.0, share), 4) for region, share in row.items()}
    largest = max(rounded, key=lambda region: (rounded[region], region))
    rounded[largest] = round(1.0 - sum(share for region, share in rounded.items() if region != largest), 4)
    return rounded
