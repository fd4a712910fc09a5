"""The agent's settings, read once from `TRIMTAB_AGENT_*`."""

from enum import StrEnum
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, HttpUrl, IPvAnyAddress, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import ProcessSettings
from contracts.agent_api import REPLICAS_PER_HOST_MAX
from contracts.vocabulary import FULL_FP32, HostId, ProfileId, Region, ReplicaId

ENV_PREFIX = "TRIMTAB_AGENT_"
PORT_MAX = 65_535
Port = Annotated[int, Field(ge=1, le=PORT_MAX)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class RuntimeKind(StrEnum):
    """Where replicas run."""

    PROCESS = "process"
    DOCKER = "docker"
    SWARM = "swarm"


class AgentSettings(ProcessSettings):
    """One host's agent."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    host_id: Id
    """Name of this host in the fleet; replicas are called `<host>-<slot>`. Two hosts must not share it."""
    region: Id
    """Region this host serves; the name its gateway has."""
    controller_url: HttpUrl
    """Where the controller listens, as this host reaches it; `https://` wherever the way leaves this host."""
    token: SecretStr = SecretStr("")
    """The join token, which gets this host a credential of its own; empty only where the controller listens on loopback
    without tokens."""
    token_file: Path | None = None
    """File with the join token, instead of `token`; read again when it changed, so that it can be rotated while we run."""
    ca_file: Path | None = None
    """PEM file of those who may have signed the controller's certificate; not set: the system's authorities."""
    client_cert_file: Path | None = None
    """Certificate that this host shows to a controller that asks for one; goes with `client_key_file`."""
    client_key_file: Path | None = None
    """Its private key."""
    allow_plaintext: bool = False
    """Whether `controller_url` may be http:// beyond loopback: tokens and orders can then be read and changed on the way."""
    address: IPvAnyAddress = IPv4Address("127.0.0.1")
    """Where /metrics listens, and where Prometheus is told to scrape: an address that it reaches, or loopback on one machine."""
    port: Port = 9300
    """Of /metrics, /livez and /readyz."""
    state_dir: Path
    """Journal and logs; must survive a restart of the agent."""
    runtime: RuntimeKind = RuntimeKind.PROCESS
    """How replicas run here: `process` (children of the agent), `docker` (containers with `docker_label`), or `swarm`
    (one service per replica, on any machine of the cluster that this host's engine manages; needs `docker_image`)."""
    slots: Annotated[int, Field(ge=1, le=REPLICAS_PER_HOST_MAX)] = 2
    """Replicas that fit on this host."""
    replicas: Annotated[int, Field(ge=0, le=REPLICAS_PER_HOST_MAX)] = 1
    """Of those, started at the first boot; afterwards the journal remembers which were wanted."""
    replica_address: IPvAnyAddress = IPv4Address("127.0.0.1")
    """Where replicas listen; the gateway must reach it."""
    replica_port_base: Annotated[int, Field(ge=1, le=65_000)] = 8100
    """Slot i listens on this port + i."""
    replica_profile: ProfileId = FULL_FP32.id
    """Profile of a replica that was never switched."""
    replica_engine: str = ""
    """Engine of the replicas; empty: the replica's own default. `simulated` needs no voice."""
    replica_workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Worker processes of each replica."""
    spares: Annotated[int, Field(ge=0, le=4)] = 1
    """Warm spares, each with the memory of a replica; 0 makes every restart a cold one."""
    voice_dir: Path | None = None
    """Directory of the prepared voice; not set: the replica's own default."""
    redis_url: str = ""
    """Redis for finished audio, shared by replicas; empty: each has a cache of its own."""
    first_audio_budget_s: Annotated[float, Field(gt=0)] | None = None
    """Seconds to first audio past which a replica refuses work at once; not set: its own default."""
    total_budget_s: Annotated[float, Field(gt=0)] | None = None
    """The same for a whole answer that is not streamed."""
    stop_grace_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """How long replicas may finish their work when the agent ends."""
    start_deadline_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Longest way of a replica to its first readiness."""
    restart_backoff_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """First wait between reflexive restarts once the immediate ones are spent; it doubles."""
    serving_command: tuple[str, ...] = ()
    """How a replica is started; empty: this Python with `-m serving`. `spare` is appended for spares."""
    docker_label: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9./_-]{0,100}$")] = "trimtab.replica"
    """A container is ours when it carries this label; its value is the replica's id."""
    docker_image: str = ""
    """Image to make containers from; empty: only containers that exist are managed."""
    docker_binds: tuple[str, ...] = ()
    """`source:target:ro`, for each container made."""
    swarm_stop_grace_s: Annotated[float, Field(ge=0, le=60)] = 2.0
    """Between SIGTERM and SIGKILL of a replica on another machine. A frozen one sits it out, so it is part of its healing."""
    swarm_constraints: tuple[str, ...] = ()
    """Where Swarm may place replicas, e.g. `node.labels.gpu==true`."""
    docker_cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    """Processors of each container made; unset: all."""
    docker_memory_mib: Annotated[int, Field(ge=32)] | None = None
    """Memory of each container made; beyond it the kernel ends that replica, and no other. Unset: no limit."""
    gpus_per_replica: Annotated[int, Field(ge=0, le=16)] = 1
    """GPUs that each replica is given, on a host that has any; 0: replicas are not placed, and see every device."""
    simulated_gpus: Path | None = None
    """For development only: a directory made by `python -m agent.simulated_gpus create`. Its GPUs stand in for real ones,
    which are then neither read nor reset; the host's reboot is simulated as well. Not set: the real driver."""
    allow_gpu_reset: bool = False
    """Whether an order may reset a GPU that nothing uses."""
    gpu_reset_command: tuple[str, ...] = ()
    """Command that resets one GPU, with `{gpu}` for its UUID; empty: `nvidia-smi --gpu-reset -i {gpu}`, which only root may."""
    allow_reboot: bool = False
    """Whether an order may reboot this host while no replica runs on it and nobody computes on its GPUs."""
    machine_dry_run: bool = False
    """Judge and journal such orders as usual, and then only say what would have been run; each ends as failed."""
    machine_orders_per_day: Annotated[int, Field(ge=1, le=24)] = 4
    """Resets and reboots together, within 24 hours: past a few, the fault is one that they do not mend."""
    canary_after_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Quiet time after which a ready replica is asked to speak a short sentence; 0: never."""
    gateways: dict[Id, str] = Field(default_factory=dict, max_length=64)
    """`host:port` of each region's gateway, as a JSON object; this host measures its way to those of other regions."""
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """Least severe log line that is written: DEBUG, INFO, WARNING or ERROR; replicas are told the same."""

    @field_validator("gateways")
    @classmethod
    def _host_and_port(cls, gateways: dict[str, str]) -> dict[str, str]:
        for region, address in gateways.items():
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit() or not 1 <= int(port) <= PORT_MAX:
                msg = f"{region}: {address!r} is not host:port"
                raise ValueError(msg)
        return gateways

    @model_validator(mode="after")
    def _swarm_has_an_image(self) -> Self:
        if self.runtime is RuntimeKind.SWARM and not self.docker_image:
            msg = "runtime=swarm makes its services itself: set docker_image"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _line_is_guarded(self) -> Self:
        if self.token.get_secret_value() and self.token_file is not None:
            msg = "token and token_file are both set: keep one"
            raise ValueError(msg)
        if (self.client_cert_file is None) is not (self.client_key_file is None):
            msg = "client_cert_file and client_key_file go together: set both or none"
            raise ValueError(msg)
        url = self.controller_url
        if url.username or url.password:
            msg = "controller_url must hold no user or password: they would be sent instead of the token"
            raise ValueError(msg)
        if url.scheme == "http" and not self.controller_is_local and not self.allow_plaintext:
            msg = (
                f"controller_url {url} leaves this host without TLS: use https:// (with ca_file for an authority of your own), "
                "or set allow_plaintext=true where the network itself is trusted"
            )
            raise ValueError(msg)
        return self

    @property
    def replica_ids(self) -> tuple[ReplicaId, ...]:
        """`<host>-<slot>`, in slot order."""
        return tuple(ReplicaId(f"{self.host_id}-{slot}") for slot in range(self.slots))

    @property
    def controller_is_local(self) -> bool:
        """Whether the way to the controller stays on this machine; a name other than `localhost` may lead anywhere."""
        name = self.controller_url.host or ""
        try:
            return ip_address(name.strip("[]")).is_loopback
        except ValueError:
            return name == "localhost"

    @property
    def host(self) -> HostId:
        """This host."""
        return HostId(self.host_id)

    @property
    def home_region(self) -> Region:
        """The region this host is in."""
        return Region(self.region)

    @property
    def serving_environment(self) -> dict[str, str]:
        """What every replica is told, by the names of its settings; what is not set keeps the replica's default."""
        told = {
            "WORKERS": str(self.replica_workers),
            "LOG_LEVEL": self.log_level,
            "ENGINE": self.replica_engine or None,
            "VOICE_DIR": None if self.voice_dir is None else str(self.voice_dir),
            "REDIS_URL": self.redis_url or None,
            "FIRST_AUDIO_BUDGET_S": None if self.first_audio_budget_s is None else str(self.first_audio_budget_s),
            "TOTAL_BUDGET_S": None if self.total_budget_s is None else str(self.total_budget_s),
        }
        return {f"TRIMTAB_SERVING_{name}": value for name, value in told.items() if value is not None}
