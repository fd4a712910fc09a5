"""Which sections the page has, in which order, and what each reads."""

from dataclasses import dataclass

from agent.board import Board
from agent.exporter import Exporter
from agent.exporter.acts import ActSection
from agent.exporter.gpus import GpuSection
from agent.exporter.health import HealthSection
from agent.exporter.host import HostSection
from agent.exporter.replicas import ReplicaSection
from agent.healer import Healer
from agent.orders import OrderDesk
from agent.probes.gpu import GpuWatch
from agent.probes.host import HostMeter
from agent.reflexes import ReflexLog
from agent.sync import SyncLoop
from chassis.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSources:
    """The parts of the agent that the page reads."""

    board: Board
    healer: Healer
    reflexes: ReflexLog
    desk: OrderDesk
    gpus: GpuWatch
    meter: HostMeter
    sync: SyncLoop
    clock: Clock


def build_exporter(sources: PageSources) -> Exporter:
    """The whole page."""
    return Exporter(
        sections=(
            ReplicaSection(board=sources.board, healer=sources.healer),
            ActSection(reflexes=sources.reflexes, desk=sources.desk),
            GpuSection(gpus=sources.gpus, clock=sources.clock),
            HostSection(meter=sources.meter),
            HealthSection(sync=sources.sync),
        )
    )
