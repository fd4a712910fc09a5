"""Which GPUs are unfit, past one bad sample: condemned after two reports, trusted again only after a while.

The two thresholds differ on purpose. A GPU that flickers between fit and unfit would otherwise be drained, filled and
drained again; so it stays one finding, during which nothing is begun, until it has been fit for a minute. One that goes
unseen says nothing while its host is being worked on: a reset has the driver to itself, and hides every other GPU.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from contracts.vocabulary import GpuUuid, HostId
from controller.core.fleet import Fleet, Host
from controller.core.gpus import Gpu
from controller.core.policy import Policy

ReportMark = tuple[str, int]
"""Boot and number of a report: two marks are two reports."""


@dataclass(frozen=True, slots=True)
class GpuWatch:
    """What one GPU in trouble has shown so far."""

    since_unix_s: float
    first: ReportMark
    condemned: bool = False
    fit_again_unix_s: float | None = None
    """Since when it has been fit without a break; None while it is not."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Hard: a GPU on which nothing should be started."""

    host: Host
    gpu: Gpu
    since_unix_s: float
    fit_again_unix_s: float | None
    """When it became fit again, while it is still on probation; None while it is unfit."""


Watches = Mapping[GpuUuid, GpuWatch]


def watch_gpus(
    former: Watches, fleet: Fleet, touched: Collection[HostId], now_unix_s: float, policy: Policy
) -> tuple[Watches, tuple[Unfit, ...]]:
    """One pass over every GPU. What does not report, or is hidden by our own work on its host (`touched`), stays as it was,
    and nothing is concluded about it."""
    watches: dict[GpuUuid, GpuWatch] = {}
    found: list[Unfit] = []
    for host in fleet.hosts:
        heard = host.report_age_s <= policy.report_age_s_max
        for gpu in host.gpus:
            watch = former.get(gpu.uuid)
            if watch is None and gpu.fit:
                continue
            told = heard and (gpu.up or host.id not in touched)
            if told:
                watch = _next(watch, host, gpu, now_unix_s, policy)
            if watch is None:
                continue
            watches[gpu.uuid] = watch
            if told and watch.condemned:
                found.append(Unfit(host, gpu, watch.since_unix_s, watch.fit_again_unix_s))
    return watches, tuple(found)


def _next(watch: GpuWatch | None, host: Host, gpu: Gpu, now_unix_s: float, policy: Policy) -> GpuWatch | None:
    """The watch after one look; None when there is nothing left to watch."""
    mark = (host.boot_id, host.seq)
    if gpu.fit:
        if watch is None or not watch.condemned:
            return None
        since_unix_s = watch.fit_again_unix_s if watch.fit_again_unix_s is not None else now_unix_s
        over = now_unix_s - since_unix_s >= policy.gpu_fit_s
        return None if over else replace(watch, fit_again_unix_s=since_unix_s)
    if watch is None:
        return GpuWatch(now_unix_s, mark)
    lasts_s = policy.gpu_unseen_s if gpu.merely_unseen else policy.gpu_unfit_s
    lasting = mark != watch.first and now_unix_s - watch.since_unix_s >= lasts_s
    return replace(watch, condemned=watch.condemned or lasting, fit_again_unix_s=None)
