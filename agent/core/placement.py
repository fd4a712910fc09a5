"""Which GPUs a replica gets.

Whatever it had, it keeps: a model that is loaded, a cache that is warm and a person who knows where to look are worth more
than perfect balance. Only what is missing is chosen, from the fit devices that carry the fewest replicas, in PCI order.
So the same host in the same state always gives the same answer, and one replica's start never moves another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.vocabulary import GpuUuid


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as placement sees it."""

    gpu: GpuUuid
    unfit: str | None
    """Why nothing should be started there; None when it is fit."""
    replicas: int
    """How many others were given it."""


@dataclass(frozen=True, slots=True)
class NoFitGpu:
    """The replica cannot be started now."""

    reason: str


Placement = tuple[GpuUuid, ...] | NoFitGpu


def place(had: Sequence[GpuUuid], devices: Sequence[Device], wanted: int) -> Placement:
    """`wanted` fit GPUs: those it had first, then the least used. `devices` are in PCI order; none on a host without GPUs."""
    if not devices or wanted == 0:
        return ()
    fit = {device.gpu: device for device in devices if device.unfit is None}
    kept = [gpu for gpu in dict.fromkeys(had) if gpu in fit][:wanted]
    others = sorted((device for device in fit.values() if device.gpu not in kept), key=lambda device: device.replicas)
    chosen = (*kept, *(device.gpu for device in others[: wanted - len(kept)]))
    return chosen if len(chosen) == wanted else NoFitGpu(_shortage(devices, wanted))


def hold(had: Sequence[GpuUuid], devices: Sequence[Device]) -> Placement:
    """Exactly the GPUs that it had, when each of them is here and fit."""
    unfit = {device.gpu: device.unfit for device in devices}
    reasons = [f"{gpu}: {why}" for gpu in had if (why := unfit.get(gpu, "it is not on this host")) is not None]
    return NoFitGpu("; ".join(reasons)) if reasons else tuple(had)


def _shortage(devices: Sequence[Device], wanted: int) -> str:
    reasons = "; ".join(f"{device.gpu}: {device.unfit}" for device in devices if device.unfit is not None)
    return f"{wanted} fit GPU{'s' * (wanted > 1)} wanted, of {len(devices)} here" + (f" ({reasons})" if reasons else "")
