"""An agent's report, turned into the core's values.

A GPU that a replica was given but that the driver does not list is listed here as down: a driver that is gone would
otherwise look like a host without GPUs. MIG instances are not devices of their own and are never missed.
"""

from collections.abc import Iterable

from contracts.agent_api import GpuReport, HostReport, ReplicaReport
from contracts.vocabulary import GpuAction, GpuUuid, Locality
from controller.core.fleet import Host, Reflex, Replica
from controller.core.gpus import Gpu

MIG_PREFIX = "MIG-"
UNLISTED = "the driver does not list it"


def host_of(report: HostReport, gpus: tuple[Gpu, ...], report_age_s: float) -> Host:
    """The host as the core sees it; `gpus` is what `gpus_of` made of the same report."""
    locality = Locality(region=report.region, host=report.host)
    return Host(
        locality=locality,
        boot_id=report.boot_id,
        seq=report.seq,
        runtime=report.runtime,
        report_age_s=report_age_s,
        agent_address=report.agent_address,
        agent_port=report.agent_port,
        free_slots=report.free_slots,
        replicas=tuple(_replica(replica, locality) for replica in sorted(report.replicas, key=lambda r: r.replica)),
        reflexes=tuple(_reflexes(report)),
        gpus=gpus,
        machine_orders=frozenset(report.machine_orders),
    )


def gpus_of(report: HostReport) -> tuple[Gpu, ...]:
    """Every device of the host; made once per report, because most ticks see the same one again."""
    if not report.gpus:
        return ()  # an agent that knows nothing of GPUs says nothing about them either
    listed = tuple(_gpu(gpu) for gpu in report.gpus if gpu.uuid)
    known = {gpu.uuid for gpu in listed}
    given = {uuid for replica in report.replicas for uuid in replica.gpus}
    reason = next((gpu.reason for gpu in report.gpus if not gpu.uuid), "") or UNLISTED
    missing = sorted(uuid for uuid in given - known if not uuid.startswith(MIG_PREFIX))
    return (*listed, *(_missing(uuid, reason) for uuid in missing))


def _gpu(report: GpuReport) -> Gpu:
    return Gpu(
        uuid=GpuUuid(report.uuid),
        index=report.gpu,
        up=report.up,
        reason=report.reason,
        recommended_action=report.recommended_action,
        action_source=report.action_source,
        slowed=report.slowed,
        model=report.model,
        simulated=report.simulated,
    )


def _missing(uuid: GpuUuid, reason: str) -> Gpu:
    return Gpu(uuid, index=None, up=False, reason=reason, recommended_action=GpuAction.NONE, action_source="")


def _replica(report: ReplicaReport, locality: Locality) -> Replica:
    return Replica(
        id=report.replica,
        locality=locality,
        address=report.address,
        port=report.port,
        state=report.state,
        reason=report.reason,
        generation=report.generation,
        state_age_s=report.state_age_s,
        profile=report.profile,
        profiles=report.profiles,
        progress_age_s=report.progress_age_s,
        in_flight=report.in_flight,
        queued_s=report.queued_s,
        slo_revision=report.slo_revision,
        gpus=report.gpus,
        withheld=report.withheld,
        canaries_failed=report.canaries_failed,
    )


def _reflexes(report: HostReport) -> Iterable[Reflex]:
    for reflex in report.reflexes:
        yield Reflex(
            host=report.host,
            boot_id=report.boot_id,
            seq=reflex.seq,
            kind=reflex.kind,
            replica=reflex.replica,
            generation=reflex.generation,
            detected_unix_s=reflex.detected_unix_s,
            healed_unix_s=reflex.healed_unix_s,
            evidence=tuple(sorted(reflex.evidence.items())),
        )
