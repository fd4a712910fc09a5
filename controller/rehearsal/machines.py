"""What must hold about GPUs and hosts at every moment, checked against the true machines.

Part of the watchman, apart because it is about machines: permission, an empty machine, one order at a time, the caps of a day,
and that neither loop nor agent starts anything on a GPU that is unfit.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.vocabulary import HostId, OrderKind
from controller.core.actions import ActionRecord, MachineAction, RebootHost, ResetGpu, Restart, ScaleIn, Stage
from controller.core.policy import Policy
from controller.simulation.faults import FaultKind
from controller.simulation.hosts import SimulatedHost
from controller.simulation.replicas import SimulatedReplica
from controller.simulation.world import SimulatedWorld

HEAT_S = 90.0
"""A step home, its undoing and their verdicts: as long as a replica's former pace is remembered against it."""


@dataclass(slots=True)
class MachineWatch:
    """Yields what is wrong, in words."""

    world: SimulatedWorld
    policy: Policy
    touches_seen: Counter[HostId] = field(default_factory=Counter)

    def wrong_now(self, actions: tuple[ActionRecord, ...]) -> Iterator[str]:
        """Everything that does not hold at this moment."""
        for host in self.world.hosts.values():
            if host.machine.unfit_starts:
                yield f"{host.machine.unfit_starts[0]} was started on an unfit GPU"
            yield from self._wrong_touches(host)
        machine = [record for record in actions if isinstance(record.action, MachineAction)]
        open_ = [record for record in machine if record.stage is not Stage.CLOSED]
        hosts = Counter(record.action.host for record in open_ if isinstance(record.action, MachineAction))
        yield from (f"{count} orders about the machine {host} at once" for host, count in hosts.items() if count > 1)
        regions = Counter(r.action.region for r in open_ if isinstance(r.action, RebootHost))
        yield from (f"{count} hosts of {region} reboot at once" for region, count in regions.items() if count > 1)
        yield from self._beyond_the_caps(machine)

    def wrong_at_its_beginning(self, record: ActionRecord) -> str:
        """What is wrong with an action at the moment it is first seen; empty when nothing is."""
        match record.action:
            case ResetGpu() | RebootHost():
                return self._machine_begun(record.action)
            case Restart():
                host = self.world.hosts[record.action.host]
                replica = host.replicas.get(record.action.replica)
                if replica is not None and replica.withheld and host.last_report is not None:
                    told = host.last_report.gpus == host.machine.seen
                    return f"restart of {replica.id}, which its agent withholds" if told else ""
            case ScaleIn():
                return self._below_configured(record.action)
        return ""

    def was_hot(self, replica: SimulatedReplica) -> bool:
        """True when heat slowed its GPU down during what is now judged, but no longer does: nobody can see why it was slow."""
        places = [
            gpu.place for host in self.world.hosts.values() for gpu in host.machine.gpus if gpu.uuid in replica.gpus
        ]
        now_s = self.world.now_s
        return any(
            fault.kind is FaultKind.GPU_SLOWED
            and fault.where in places
            and fault.until_s <= now_s <= fault.until_s + HEAT_S
            for fault in self.world.faults.all
        )

    def _machine_begun(self, action: MachineAction) -> str:
        host = self.world.hosts[action.host]
        is_reset = isinstance(action, ResetGpu)
        kind = OrderKind.RESET_GPU if is_reset else OrderKind.REBOOT_HOST
        allowed = self.policy.gpu_reset_allowed if is_reset else self.policy.host_reboot_allowed
        if not allowed or kind not in host.machine.permits:
            return f"{action.kind} on {action.host} is not permitted"
        gpu = action.gpu if isinstance(action, ResetGpu) else None
        holders = [r.id for r in host.replicas.values() if not r.ended and (gpu is None or gpu in r.gpus)]
        return f"{action.kind} on {action.host} while {', '.join(holders)} runs there" if holders else ""

    def _below_configured(self, action: ScaleIn) -> str:
        """Nobody who serves is taken from a region that has no more than it is configured to have."""
        host = self.world.hosts[action.host]
        replica = host.replicas.get(action.replica)
        if not host.machine.gpus or replica is None or not replica.serves:
            return ""
        left = sum(other.serves and other.id != replica.id for other in self.world.replicas(action.region))
        configured = self.policy.replicas_min_of(action.region)
        return f"{action.kind} of {replica.id} leaves {left} of {configured} configured" if left < configured else ""

    def _wrong_touches(self, host: SimulatedHost) -> Iterator[str]:
        seen = self.touches_seen[host.locality.host]
        for touch in host.machine.touches[seen:]:
            if not touch.permitted:
                yield f"{host.locality.host} obeyed {touch.kind}, which it does not permit"
            if touch.held_by:
                yield f"{touch.kind} of {touch.target} hit {', '.join(touch.held_by)}"
        self.touches_seen[host.locality.host] = len(host.machine.touches)

    def _beyond_the_caps(self, machine: list[ActionRecord]) -> Iterator[str]:
        ordered = [record.action for record in machine if record.order_keys and not record.refused]
        resets = Counter(action.gpu for action in ordered if isinstance(action, ResetGpu))
        reboots = Counter(action.host for action in ordered if isinstance(action, RebootHost))
        for target, count in (*resets.items(), *reboots.items()):
            is_reset = target in resets
            most = self.policy.gpu_resets_max_per_day if is_reset else self.policy.host_reboots_max_per_day
            if count > most:
                yield f"{count} {'resets' if is_reset else 'reboots'} of {target} in a day, at most {most} are allowed"
