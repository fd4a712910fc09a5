"""Which sections the page has, in which order, and what each reads."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from agent.exporter import Exporter, Section
from agent.exporter.acts import ActSection
from agent.exporter.gpus import GpuSection
from agent.exporter.health import Build, HealthSection, LineSection
from agent.exporter.host import HostSection
from agent.exporter.joins import JoinSection
from agent.exporter.outlook import OutlookSection
from agent.exporter.replicas import ReplicaSection
from agent.healing.healer import Healer
from agent.line.report import Reporter
from agent.line.sync import SyncLoop
from agent.orders.desk import OrderDesk
from agent.outlook.outlook import Outlook
from agent.pages.server import Traffic
from agent.ports import HostRuntime
from agent.probes.itself import SelfMeter
from agent.probes.owners import OwnerWatch, ProcOwners
from agent.runtimes.process import ProcessRuntime
from chassis.clock import Clock
from chassis.supervisor import Supervisor

PACKAGE = "trimtab"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSources:
    """The parts of the agent that the page reads; what they read themselves is read through them."""

    healer: Healer
    desk: OrderDesk
    sync: SyncLoop
    reporter: Reporter
    runtime: HostRuntime
    supervisor: Supervisor
    outlook: Outlook
    clock: Clock


@dataclass(frozen=True, slots=True)
class Observatory:
    """The page, and what must run beside it so that it only ever reads from memory."""

    exporter: Exporter
    traffic: Traffic
    watchers: Mapping[str, Callable[[], Awaitable[None]]]
    """By name; a supervisor keeps each alive."""


def build_observatory(sources: PageSources) -> Observatory:
    """The whole page."""
    healer, sync, reporter, clock = sources.healer, sources.sync, sources.reporter, sources.clock
    gpus, traffic = reporter.gpus, Traffic()
    owners = OwnerWatch(gpus=lambda: gpus.newest(clock.monotonic_s()), owners=ProcOwners(sources.runtime), clock=clock)
    itself = SelfMeter(clock=clock, pids={"agent": os.getpid, "nvml_worker": lambda: gpus.workers.pid})
    health = HealthSection(
        build=Build(_version(), reporter.identity.runtime, started_unix_s=clock.now_unix_s()),
        meter=itself,
        supervisor=sources.supervisor,
        degradations=reporter.degradations,
        journal=sync.journal,
        traffic=traffic,
        spares_ready=_spares_of(sources.runtime),
    )
    sections: tuple[Section, ...] = (
        ReplicaSection(board=healer.board, healer=healer),
        ActSection(reflexes=healer.reflexes, desk=sources.desk),
        OutlookSection(board=healer.board, canaries=sources.outlook.canaries, rtts=sources.outlook.rtts),
        GpuSection(gpus=gpus, clock=clock),
        JoinSection(watch=owners),
        HostSection(meter=reporter.meter),
        health,
        LineSection(record=sync.record, journal=sync.journal, controller_time=sources.desk.controller_time),
    )
    return Observatory(Exporter(sections), traffic, {"owners": owners.run, "itself": itself.run})


def _version() -> str:
    """Of the installed package; `unknown` when it runs from a plain folder."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def _spares_of(runtime: HostRuntime) -> Callable[[], int | None]:
    return (lambda: runtime.spares_ready) if isinstance(runtime, ProcessRuntime) else (lambda: None)
