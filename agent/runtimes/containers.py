"""What a replica's container is made of, whichever engine makes it.

The same template and spec always give the same recipe, and the recipe's fingerprint is a label of the container. So a
container tells by itself whether it was made for what is wanted now: another profile, GPU or image is another fingerprint.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from agent.ports import ReplicaSpec
from agent.runtimes.process import identity_of

FINGERPRINT_CHARS = 16
"""64 bits: no two recipes of one host collide."""
LOG_BYTES_MAX = 10_000_000
"""Of one log file; two are kept. An engine's default has no bound, and a crash loop fills the disk."""


@dataclass(frozen=True, slots=True)
class ContainerTemplate:
    """How a replica's container is made. The host's network is used: each replica has a port of its own."""

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    binds: tuple[str, ...] = ()
    """`source:target` or `source:target:ro`, as Docker writes them."""
    cpus: float | None = None
    """Processors it may use; None: all."""
    memory_bytes: int | None = None
    """Beyond it the kernel ends the replica, and not its neighbours. Swap is not added to it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A template filled in for one replica."""

    image: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    """Sorted by name."""
    binds: tuple[str, ...]
    cpus: float | None
    memory_bytes: int | None
    gpus: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Equal for equal recipes, on every host and at every start of the agent."""
        canonical = json.dumps(asdict(self), sort_keys=True).encode()
        return hashlib.sha256(canonical).hexdigest()[:FINGERPRINT_CHARS]


def recipe_of(template: ContainerTemplate, spec: ReplicaSpec) -> Recipe:
    """Everything about the container of `spec`."""
    identity = {f"TRIMTAB_SERVING_{name.upper()}": str(value) for name, value in identity_of(spec).items()}
    return Recipe(
        image=template.image,
        command=template.command,
        environment=tuple(sorted({**template.environment, **identity}.items())),
        binds=template.binds,
        cpus=template.cpus,
        memory_bytes=template.memory_bytes,
        gpus=tuple(spec.gpus),
    )
