"""The fleet as the loop sees it, and the controller's own state."""

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel, Field

from chassis.clock import isoformat
from contracts.agent_api import GpuReport
from controller.api.access import Viewer
from controller.api.parts import Parts
from controller.core.fleet import Fleet, Host, Replica
from controller.ports import GatewayObservation, SourceDown
from controller.stores import Control, LoopStatus

router = APIRouter(tags=["fleet"])


class ReplicaView(BaseModel):
    """One serving process."""

    replica: str
    state: str
    reason: str
    state_age_s: float
    profile: str | None
    profiles: list[str]
    generation: int
    in_flight: int
    queued_s: float
    progress_age_s: float
    slo_revision: int
    address: str
    port: int
    cordoned: bool
    log_tail: list[str]
    gpus: list[str] = []
    withheld: str = Field(default="", description="Why its agent does not restart it; empty when it would")
    canaries_failed: int = 0


class HostView(BaseModel):
    """One machine."""

    host: str
    region: str
    runtime: str
    boot_id: str
    report_seq: int
    report_age_s: float
    agent_address: str
    agent_port: int
    free_slots: list[str]
    gpus: list[GpuReport]
    replicas: list[ReplicaView]
    machine_orders: list[str] = Field(default=[], description="Orders about the machine that its own policy permits")


class ShareView(BaseModel):
    """Wanted share of a gateway's traffic that goes to a region; 0 is standby."""

    gateway: str
    region: str
    share: float


class TrafficView(BaseModel):
    """What the gateways should do."""

    shares: list[ShareView]
    cordoned: list[str]


class GatewayView(BaseModel):
    """What one gateway says about itself; `reason` tells why it could not be asked."""

    gateway: str
    version: str
    completed: dict[str, float]
    failed: dict[str, float]
    in_flight: dict[str, int]
    reason: str = ""


class FleetView(BaseModel):
    """Everything that serves."""

    hosts: list[HostView]
    traffic: TrafficView | None
    gateways: list[GatewayView]


class LeaseView(BaseModel):
    """Who leads."""

    holder: str
    epoch: int
    expires_at: str


class StatusView(BaseModel):
    """The controller in one glance."""

    holder: str
    leader: bool
    epoch: int
    lease: LeaseView | None
    paused: bool
    last_tick_age_s: float | None
    ticks_ok: int
    ticks_failed: int
    trust: dict[str, int]
    slo_revision: int
    hosts: int
    replicas: int
    replicas_ready: int


@router.get("/fleet")
async def read_fleet(parts: Parts, _caller: Viewer) -> FleetView:
    """Hosts and replicas from the newest reports, the wanted traffic, and what the gateways run."""
    control = await _control(parts)
    fleet = parts.fleet.fleet()
    return FleetView(
        hosts=[_host(host, parts, control) for host in fleet.hosts],
        traffic=_traffic(control),
        gateways=[_gateway(seen) for seen in await parts.gateways.observe()],
    )


@router.get("/status")
async def read_status(parts: Parts, _caller: Viewer) -> StatusView:
    """Who leads, whether the loop runs, and how far its eyes can be trusted."""
    return _status(parts.status(), await _control(parts), parts.fleet.fleet())


async def _control(parts: Parts) -> Control:
    return await asyncio.to_thread(parts.story.control)  # the journal blocks; the event loop must not


def _status(loop: LoopStatus, control: Control, fleet: Fleet) -> StatusView:
    lease = control.lease
    replicas = list(fleet.replicas())
    return StatusView(
        holder=loop.holder,
        leader=loop.leading_for_s is not None,
        epoch=0 if lease is None else lease.epoch,
        lease=None
        if lease is None
        else LeaseView(holder=lease.holder, epoch=lease.epoch, expires_at=isoformat(lease.expires_unix_s)),
        paused=control.paused,
        last_tick_age_s=loop.last_tick_age_s,
        ticks_ok=loop.ticks_ok,
        ticks_failed=loop.ticks_failed,
        trust=dict(loop.trust),
        slo_revision=control.slo_revision,
        hosts=len(fleet.hosts),
        replicas=len(replicas),
        replicas_ready=sum(replica.ready for replica in replicas),
    )


def _host(host: Host, parts: Parts, control: Control) -> HostView:
    report = parts.agents.reports().get(host.id)
    tails = {r.replica: list(r.log_tail) for r in report.replicas} if report else {}
    cordoned = control.traffic.cordoned if control.traffic else frozenset()
    return HostView(
        host=host.id,
        region=host.locality.region,
        runtime=host.runtime,
        boot_id=host.boot_id,
        report_seq=host.seq,
        report_age_s=round(host.report_age_s, 3),
        agent_address=host.agent_address,
        agent_port=host.agent_port,
        free_slots=list(host.free_slots),
        gpus=list(report.gpus) if report else [],
        replicas=[_replica(r, cordoned=r.id in cordoned, log_tail=tails.get(r.id, [])) for r in host.replicas],
        machine_orders=sorted(host.machine_orders),
    )


def _replica(replica: Replica, *, cordoned: bool, log_tail: list[str]) -> ReplicaView:
    return ReplicaView(
        replica=replica.id,
        state=replica.state,
        reason=replica.reason,
        state_age_s=round(replica.state_age_s, 3),
        profile=replica.profile,
        profiles=list(replica.profiles),
        generation=replica.generation,
        in_flight=replica.in_flight,
        queued_s=replica.queued_s,
        progress_age_s=replica.progress_age_s,
        slo_revision=replica.slo_revision,
        address=replica.address,
        port=replica.port,
        cordoned=cordoned,
        log_tail=log_tail,
        gpus=list(replica.gpus),
        withheld=replica.withheld,
        canaries_failed=replica.canaries_failed,
    )


def _traffic(control: Control) -> TrafficView | None:
    if control.traffic is None:
        return None
    return TrafficView(
        shares=[ShareView(gateway=s.gateway, region=s.region, share=s.share) for s in control.traffic.shares],
        cordoned=sorted(control.traffic.cordoned),
    )


def _gateway(seen: GatewayObservation | SourceDown) -> GatewayView:
    if isinstance(seen, SourceDown):
        return GatewayView(gateway="", version="", completed={}, failed={}, in_flight={}, reason=seen.reason)
    return GatewayView(
        gateway=seen.gateway,
        version=seen.version,
        completed=dict(seen.completed),
        failed=dict(seen.failed),
        in_flight=dict(seen.in_flight),
    )
