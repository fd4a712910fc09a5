"""Unfit hardware, turned into findings; and what the loop has already done about a machine.

A GPU is one finding as long as the rest of its host is of use. It is the host's when a GPU calls for the host to be drained
or rebooted, or when none of its GPUs can be used. What serves on a GPU that is merely unseen is believed before its
telemetry: a stuck driver call is no reason to stop replicas that answer.
"""

from collections.abc import Iterable

from contracts.vocabulary import GpuAction, HostId
from controller.core.actions import ActionKind, Verdict
from controller.core.findings import Cause, Evidence, Finding
from controller.core.fitness import Unfit
from controller.core.fleet import Fleet, Host, Replica
from controller.core.gpus import Gpu
from controller.core.ledger import Ledger
from controller.core.policy import Policy

_CALLS_FOR = {
    GpuAction.DRAIN_GPU: "must not be used",
    GpuAction.RESET_GPU: "needs a reset",
    GpuAction.DRAIN_HOST: "calls for its host to be drained",
    GpuAction.REBOOT_HOST: "needs its host rebooted",
}


def hardware_findings(found: Iterable[Unfit]) -> list[Finding]:
    """One finding per unfit GPU, or one for its host where that is what is unfit."""
    by_host: dict[HostId, list[Unfit]] = {}
    for unfit in found:
        by_host.setdefault(unfit.host.id, []).append(unfit)
    findings: list[Finding] = []
    for group in by_host.values():
        if _is_the_hosts(group):
            findings.append(_host_finding(group))
        else:
            findings += [_gpu_finding(unfit) for unfit in group]
    return findings


def slowed_by(replica: Replica, fleet: Fleet) -> str:
    """Which GPU of a replica the hardware slows down now; empty when none is."""
    host = replica.locality.host
    return next((gpu.name(host) for gpu in fleet.gpus_of(replica) if gpu.slowed), "")


def kind_of_device(replica: Replica, fleet: Fleet) -> str:
    """Model of the GPUs that a replica works on: only equals are compared. Empty where none is known."""
    gpus = fleet.gpus_of(replica)
    return gpus[0].model if len(gpus) == 1 else "+".join(sorted({gpu.model for gpu in gpus}))


def needs_reboot(host: Host, ledger: Ledger, policy: Policy, now_unix_s: float) -> tuple[Gpu, ...]:
    """GPUs that only a reboot of their host may still cure."""
    return tuple(
        gpu
        for gpu in host.gpus
        if not gpu.fit
        and (
            gpu.recommended_action is GpuAction.REBOOT_HOST
            or (gpu.recommended_action is GpuAction.RESET_GPU and _resets_are_spent(gpu, ledger, policy, now_unix_s))
        )
    )


def _resets_are_spent(gpu: Gpu, ledger: Ledger, policy: Policy, now_unix_s: float) -> bool:
    """The last one did not help, or there were as many as a day allows. One that failed was refused, and never happened;
    one that could not be judged is no reason to go further."""
    tried = ledger.tried(ActionKind.RESET_GPU, gpu.uuid, now_unix_s - policy.history_s)
    done = [record for record in tried if record.verdict is not Verdict.FAILED]
    useless = bool(done) and done[-1].verdict in {Verdict.NO_EFFECT, Verdict.WORSE}
    return useless or len(done) >= policy.gpu_resets_max_per_day


# ── findings ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _is_the_hosts(group: list[Unfit]) -> bool:
    gpus = group[0].host.gpus
    return any(unfit.gpu.asks_for(GpuAction.DRAIN_HOST) for unfit in group) or len(group) == len(gpus) > 1


def _gpu_finding(unfit: Unfit) -> Finding:
    return Finding(
        cause=Cause.GPU_UNFIT,
        subject=unfit.gpu.uuid,
        region=unfit.host.locality.region,
        since_unix_s=unfit.since_unix_s,
        summary=f"{_sentence(unfit)}.",
        evidence=(*_evidence(unfit), ("replicas", _users(unfit.host, [unfit]))),
    )


def _host_finding(group: list[Unfit]) -> Finding:
    worst = max(group, key=lambda unfit: (unfit.fit_again_unix_s is None, unfit.gpu.severity))
    host = worst.host
    count = sum(unfit.fit_again_unix_s is None for unfit in group)
    others = f"; {count} of its {len(host.gpus)} GPUs are unfit" if count > 1 else ""
    return Finding(
        cause=Cause.HOST_UNFIT,
        subject=host.id,
        region=host.locality.region,
        since_unix_s=min(unfit.since_unix_s for unfit in group),
        summary=f"{_sentence(worst)}{others}.",
        evidence=(*_evidence(worst), ("gpus_unfit", f"{count} of {len(host.gpus)}"), ("replicas", _users(host, group))),
    )


def _sentence(unfit: Unfit) -> str:
    gpu, name = unfit.gpu, unfit.gpu.name(unfit.host.id)
    if unfit.fit_again_unix_s is not None:
        return f"{name} was unfit"
    if gpu.merely_unseen:
        return f"{name} is down ({gpu.reason or 'no reason given'})"
    return f"{name} {_CALLS_FOR[gpu.recommended_action]} ({gpu.action_source or gpu.reason})"


def _evidence(unfit: Unfit) -> Evidence:
    gpu = unfit.gpu
    simulated = (("simulated", "yes"),) if gpu.simulated else ()
    return (
        ("host", unfit.host.id),
        ("gpu", str(gpu.uuid)),
        ("up", "yes" if gpu.up else "no"),
        ("reason", gpu.reason or "none given"),
        ("recommended_action", str(gpu.recommended_action)),
        ("action_source", gpu.action_source or "none"),
        *simulated,
    )


def _users(host: Host, group: list[Unfit]) -> str:
    uuids = {unfit.gpu.uuid for unfit in group}
    users = (f"{r.id} {r.state}" for r in host.replicas if uuids.intersection(r.gpus))
    return ", ".join(users) or "none"
