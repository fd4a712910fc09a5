"""Everything that can be set, read once from `TRIMTAB_CONTROLLER_*`.

The knobs of the loop are not listed a second time: every field of `core.policy.Policy` is a variable of the same name,
with that field's default, e.g. `TRIMTAB_CONTROLLER_VERIFY_S=30`.
"""

import dataclasses
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_type_hints

from pydantic import BaseModel, BeforeValidator, Field, IPvAnyAddress, SecretStr, create_model, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.auth import Role
from chassis.settings import ProcessSettings, SettingsError
from contracts.vocabulary import Region
from controller.core.policy import Policy, PolicyError
from controller.credentials import LIFE_S_DEFAULT

PREFIX = "TRIMTAB_CONTROLLER_"
DERIVED = frozenset({"gateways"})
"""Fields of the policy that follow from other settings."""
KEEP_STORY_S_DEFAULT = 30 * 86_400.0
"""As long as the longest window of an objective: every spent budget can still be explained."""
_OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
"""An empty variable is none."""


class GatewayAddress(BaseModel):
    """One Envoy: the region it serves, its admin interface, and the directory it watches."""

    region: Annotated[Region, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    admin_url: Annotated[str, Field(pattern=r"^https?://")]
    eds_dir: Path


class ControllerSettings(ProcessSettings):
    """Settings of the process; those of the loop are in `policy`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    address: IPvAnyAddress = IPv4Address("127.0.0.1")
    port: Annotated[int, Field(ge=1, le=65_535)] = 8700
    database_url: str = "sqlite:///trimtab-controller.db"
    """SQLAlchemy URL; PostgreSQL (`postgresql+psycopg://…`) for several controllers."""
    prometheus_url: str = "http://127.0.0.1:9090"
    agent_token: SecretStr = SecretStr("")
    operator_token: SecretStr = SecretStr("")
    viewer_token: SecretStr = SecretStr("")
    tls_cert_file: _OptionalPath = None
    """PEM file with this controller's certificate and the chain below it: with it the listener speaks HTTPS only. Taken up
    again within a minute when it was renewed."""
    tls_key_file: _OptionalPath = None
    """Its private key."""
    tls_client_ca_file: _OptionalPath = None
    """PEM file of authorities: whoever connects, Prometheus included, must show a certificate of theirs. Read at the start."""
    host_credential_life_s: Annotated[float, Field(ge=60)] = LIFE_S_DEFAULT
    """How long a host's own credential lives; its agent renews it at half of that."""
    require_host_credentials: bool | None = None
    """Whether the agent token, which all hosts share, opens nothing but a credential; None: on every listener but loopback."""
    gateways: tuple[GatewayAddress, ...] = ()
    rules_file: _OptionalPath = None
    """Where compiled rules go, inside Prometheus' `rule_files`; None leaves Prometheus' rules alone."""
    holder: str = ""
    """Name in the lease; empty means host:address:port, which no other living process can have."""
    keep_story_s: Annotated[float, Field(ge=3_600)] = KEEP_STORY_S_DEFAULT
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> Self:
        if (self.tls_cert_file is None) is not (self.tls_key_file is None):
            msg = "tls_cert_file and tls_key_file go together: set both or none"
            raise ValueError(msg)
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            msg = "tls_client_ca_file needs tls_cert_file: there are no client certificates without TLS"
            raise ValueError(msg)
        return self

    @property
    def host_credentials_required(self) -> bool:
        """As set, or by the listener."""
        chosen = self.require_host_credentials
        return not self.address.is_loopback if chosen is None else chosen

    @property
    def tokens(self) -> dict[Role, str]:
        """Configured tokens; an empty one is none."""
        named = {Role.AGENT: self.agent_token, Role.OPERATOR: self.operator_token, Role.VIEWER: self.viewer_token}
        return {role: token.get_secret_value() for role, token in named.items() if token.get_secret_value()}


class _PolicySettings(ProcessSettings):
    """Base of the knobs: the same prefix, so that they look like any other variable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")


def read_policy(settings: ControllerSettings) -> Policy:
    """The loop's limits from the environment; raises `SettingsError` that names the variable."""
    knobs = _knobs_model().read()
    gateways = tuple(gateway.region for gateway in settings.gateways)
    try:
        return Policy(**knobs.model_dump(), gateways=gateways)
    except PolicyError as error:
        msg = f"invalid settings:\n  {PREFIX}{error.field.upper()}: {str(error).removeprefix(f'{error.field}: ')}"
        raise SettingsError(msg) from error


def _knobs_model() -> type[_PolicySettings]:
    """One variable per field of the policy, with that field's type and default."""
    types = get_type_hints(Policy)
    fields: dict[str, Any] = {
        field.name: (types[field.name], field.default)
        for field in dataclasses.fields(Policy)
        if field.name not in DERIVED
    }
    return create_model("PolicySettings", __base__=_PolicySettings, **fields)
