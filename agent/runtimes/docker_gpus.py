"""Which GPUs a container may use, read from how it was made.

`docker run --gpus` writes device requests: device ids (indices or UUIDs), or a count. Containers for the NVIDIA runtime
name theirs in `NVIDIA_VISIBLE_DEVICES`. A label overrides both, for containers that reach their devices in another way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.vocabulary import GpuUuid

GPU_LABEL_SUFFIX = ".gpus"
VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
ALL = "all"
NOTHING = frozenset({"", "none", "void"})
"""Values of NVIDIA_VISIBLE_DEVICES that give no device (NVIDIA Container Toolkit's documentation)."""
UUID_PREFIXES = ("GPU-", "MIG-")
GPU_CAPABILITIES = frozenset({"gpu", "nvidia"})


def gpu_references(container: Mapping[str, Any], label: str) -> tuple[str, ...]:
    """What an inspected container was given: UUIDs, indices, `all`, or `first:N`; empty when it was given nothing."""
    config = container.get("Config") or {}
    told = (config.get("Labels") or {}).get(label + GPU_LABEL_SUFFIX)
    if told is not None:
        return _listed(told)
    requests = (container.get("HostConfig") or {}).get("DeviceRequests") or ()
    requested = tuple(reference for request in requests if _asks_for_gpus(request) for reference in _requested(request))
    return requested or _listed(_environment(config).get(VISIBLE_DEVICES, ""))


def resolved(references: Sequence[str], present: Sequence[GpuUuid]) -> tuple[GpuUuid, ...]:
    """The UUIDs behind references, given every GPU of the host in PCI order. An index that does not exist is dropped."""
    found: list[GpuUuid] = []
    for reference in references:
        if reference == ALL:
            found += present
        elif reference.startswith("first:"):
            found += present[: int(reference.removeprefix("first:"))]
        elif reference.startswith(UUID_PREFIXES):
            found += [uuid for uuid in present if uuid.startswith(reference)] or [GpuUuid(reference)]
        elif reference.isdigit() and int(reference) < len(present):
            found.append(present[int(reference)])
    return tuple(dict.fromkeys(found))


def _asks_for_gpus(request: Mapping[str, Any]) -> bool:
    asked = {word for alternative in request.get("Capabilities") or () for word in alternative}
    return bool(asked & GPU_CAPABILITIES) or request.get("Driver") == "nvidia"


def _requested(request: Mapping[str, Any]) -> tuple[str, ...]:
    if request.get("DeviceIDs"):
        return tuple(str(device) for device in request["DeviceIDs"])
    count = int(request.get("Count") or 0)
    return (ALL,) if count < 0 else (f"first:{count}",) if count else ()


def _listed(text: str) -> tuple[str, ...]:
    return () if text.strip().lower() in NOTHING else tuple(word.strip() for word in text.split(",") if word.strip())


def _environment(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in config.get("Env") or () if "=" in entry)
