"""What operators ask for, turned into the same plans the loop makes; the kernel judges both alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId
from controller.core.actions import Action, Shift
from controller.core.fleet import Host
from controller.core.plans import Plan, reboot_host, reset_gpu, restart, scale_in, scale_out, switch_profile
from controller.core.refusals import NoRemedy
from controller.core.situation import Situation
from controller.core.story import OperatorIntent
from controller.core.traffic import row_of, with_row

Arguments = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SetPaused:
    """Pause or resume new actions; needs no judgement."""

    paused: bool


def plan_for(intent: OperatorIntent, situation: Situation) -> Plan | SetPaused | NoRemedy:
    """The plan an intent asks for, or why there is none."""
    if intent.verb in {"pause", "resume"}:
        return SetPaused(intent.verb == "pause")
    build = BUILDERS.get(intent.verb)
    if build is None:
        return NoRemedy(f"the verb {intent.verb} is unknown")
    action = build(dict(intent.arguments), situation)
    if isinstance(action, NoRemedy):
        return action
    return Plan(action, f"{intent.operator} asked for it.", intent.arguments, origin=intent.operator)


def _restart(arguments: Arguments, situation: Situation) -> Action | NoRemedy:
    """`replica`: after a drain if it serves, at once if it does not."""
    replica = situation.fleet.replica(ReplicaId(arguments.get("replica", "")))
    if replica is None:
        return NoRemedy(f"no replica {arguments.get('replica', '(unnamed)')} is known")
    return restart(replica, graceful=replica.ready)


def _switch_profile(arguments: Arguments, situation: Situation) -> Action | NoRemedy:
    """`region` and `profile`."""
    region, profile = Region(arguments.get("region", "")), ProfileId(arguments.get("profile", ""))
    action = switch_profile(situation.fleet, region, profile, situation.policy)
    return action or NoRemedy(f"no ready replica in {region or '(unnamed)'} would change by running {profile}")


def _scale_out(arguments: Arguments, situation: Situation) -> Action | NoRemedy:
    """`region`."""
    region = Region(arguments.get("region", ""))
    action = scale_out(situation.fleet, region, situation.policy, situation.shunned)
    return action or NoRemedy(f"no free slot on a reporting host in {region or '(unnamed)'}")


def _scale_in(arguments: Arguments, situation: Situation) -> Action | NoRemedy:
    """`replica`, or `region` to let the least busy one go."""
    named = situation.fleet.replica(ReplicaId(arguments.get("replica", "")))
    region = Region(arguments.get("region", ""))
    candidates = [named] if named is not None else [r for r in situation.fleet.replicas(region) if r.ready]
    if not candidates:
        return NoRemedy(f"no replica to stop in {region or '(unnamed)'}")
    return scale_in(min(candidates, key=lambda replica: (replica.in_flight, replica.id)))


def _shift(arguments: Arguments, situation: Situation) -> Action | NoRemedy:
    """`gateway` (default: `from`), `from`, `to`, and `share` 0..1 of that gateway's traffic to move (default: all of it)."""
    source, target = Region(arguments.get("from", "")), Region(arguments.get("to", ""))
    gateway = Region(arguments.get("gateway", source))
    row = row_of(situation.ledger.traffic, gateway)
    share = _ratio(arguments.get("share", "1"))
    if source not in row or target not in row or source == target or share is None:
        return NoRemedy("a shift names two known regions as from and to, and a share above 0 and up to 1")
    moved = min(row[source], share)
    changed = {**row, source: round(row[source] - moved, 4), target: round(row[target] + moved, 4)}
    after = with_row(situation.ledger.traffic, gateway, changed)
    if after == situation.ledger.traffic:
        return NoRemedy(f"gateway {gateway} sends nothing to {source}")
    return Shift(source, situation.ledger.traffic, after)


def _reset_gpu(arguments: Arguments, situation: Situation) -> Action | NoRemedy:
    """`host` and `gpu`: its index there, or its UUID."""
    host = _host(arguments, situation)
    if isinstance(host, NoRemedy):
        return host
    wanted = arguments.get("gpu", "")
    gpu = next((gpu for gpu in host.gpus if wanted in {str(gpu.index), gpu.uuid}), None)
    return reset_gpu(host, gpu) if gpu is not None else NoRemedy(f"{host.id} reports no GPU {wanted or '(unnamed)'}")


def _reboot_host(arguments: Arguments, situation: Situation) -> Action | NoRemedy:
    """`host`."""
    host = _host(arguments, situation)
    if isinstance(host, NoRemedy):
        return host
    return reboot_host(host, f"a reboot of {host.id} was asked for")


def _host(arguments: Arguments, situation: Situation) -> Host | NoRemedy:
    name = arguments.get("host", "")
    return situation.fleet.host(HostId(name)) or NoRemedy(f"no host {name or '(unnamed)'} has reported")


def _ratio(text: str) -> float | None:
    """A share above 0 and up to 1; None when the text is none."""
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 < share <= 1 else None


BUILDERS: Mapping[str, Callable[[Arguments, Situation], Action | NoRemedy]] = {
    "restart": _restart,
    "switch_profile": _switch_profile,
    "scale_out": _scale_out,
    "scale_in": _scale_in,
    "shift": _shift,
    "reset_gpu": _reset_gpu,
    "reboot_host": _reboot_host,
}
