"""Every file of an installation: where it is, what is in it, and who may read it.

Files are of two kinds. *Ours* are replaced by whatever this version renders. *The administrator's* (agent.env) are written
once and then never touched again (`trimtab.host.env_file`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.settings import AgentSettings, RuntimeKind
from trimtab.host import units
from trimtab.host.env_file import as_variable, render_env_file

UNITS_DIR = PurePosixPath("/usr/lib/systemd/system")
DROP_IN = PurePosixPath(f"/etc/systemd/system/{units.AGENT_UNIT}.d/10-runtime.conf")
AGENT_ENV = PurePosixPath(units.AGENT_ENV)
LOGS = f"{units.STATE_DIR}/logs/*.log"

SYSUSERS = f"""\
# The agent's own user: it owns its journal and nothing else. Groups for devices and for the engine are given by the unit.
u {units.USER} - "Trimtab agent" {units.STATE_DIR} /usr/sbin/nologin
"""
TMPFILES = f"""\
# At every boot: the settings hold a token, so they are for root and the agent only, whatever an editor made of them.
d {AGENT_ENV.parent} 0750 root {units.USER} -
z {AGENT_ENV} 0640 root {units.USER} -
d {units.STATE_DIR} 0750 {units.USER} {units.USER} -
"""
LOGROTATE = f"""\
# The agent writes to the journal. Replicas that are its children write here, appending, for as long as they live: a log is
# copied and cut, because the process keeps its file open.
{LOGS} {{
    su {units.USER} {units.USER}
    size 16M
    rotate 3
    copytruncate
    compress
    missingok
    notifempty
}}
"""


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file to be there."""

    path: PurePosixPath
    content: str
    why: str
    """For whoever reads the plan."""
    mode: int = 0o644
    group: str = "root"
    administrators: bool = False
    """True: written once, then only offered beside."""
    once: bool = False
    """True: written when it is missing, and then left as the administrator, or the distribution's package, has it."""


def artefacts(choices: units.HostChoices, values: Mapping[str, str], *, python: str) -> tuple[Artefact, ...]:
    """Everything `install` puts on a host; `values` are what agent.env sets."""
    return (
        *packaged(python=python),
        Artefact(DROP_IN, units.runtime_drop_in(choices), f"fits the unit to runtime {choices.runtime}"),
        Artefact(
            AGENT_ENV,
            render_env_file(AgentSettings, values),
            "settings, with the token",
            mode=0o640,
            group=units.USER,
            administrators=True,
        ),
    )


def packaged(*, python: str = units.PYTHON) -> tuple[Artefact, ...]:
    """Those that are the same on every host: what a distribution's package ships."""
    return (
        Artefact(UNITS_DIR / units.AGENT_UNIT, units.agent_unit(python), "the service"),
        Artefact(UNITS_DIR / units.RESET_UNIT, units.reset_unit(), "resets one GPU as root, when an order may"),
        Artefact(
            PurePosixPath("/usr/share/polkit-1/rules.d/50-trimtab.rules"),
            units.polkit_rules(),
            "lets the agent ask for a reset or a reboot",
        ),
        Artefact(PurePosixPath("/usr/lib/sysusers.d/trimtab.conf"), SYSUSERS, "the user"),
        Artefact(PurePosixPath("/usr/lib/tmpfiles.d/trimtab.conf"), TMPFILES, "owners and modes, at every boot"),
        Artefact(PurePosixPath("/etc/logrotate.d/trimtab"), LOGROTATE, "bounds the logs of child replicas", once=True),
    )


def installed_defaults() -> dict[str, str]:
    """Variables that a fresh agent.env sets because the service is what it is: its own directory, and no root."""
    ask_systemd = ("systemctl", "start", units.RESET_UNIT.replace("@", "@{gpu}"))
    return {
        AgentSettings.variable("state_dir"): units.STATE_DIR,
        AgentSettings.variable("gpu_reset_command"): as_variable(ask_systemd),
    }


def golden_files() -> dict[str, str]:
    """What `deploy/` shows of it, by file name: review them as a diff (`make golden`)."""
    example = {
        AgentSettings.variable("host_id"): "gpu-01",
        AgentSettings.variable("region"): "eu-west",
        AgentSettings.variable("controller_url"): "https://controller.example:8700",
        **installed_defaults(),
    }
    grace_s = float(AgentSettings.model_fields["stop_grace_s"].default)
    drop_ins = {
        f"systemd/{units.AGENT_UNIT}.d/runtime-{runtime}.conf": units.runtime_drop_in(
            units.HostChoices(runtime, units.groups_of(runtime), grace_s)
        )
        for runtime in (RuntimeKind.DOCKER, RuntimeKind.PROCESS)
    }
    return {
        "systemd/agent.env": render_env_file(AgentSettings, example),
        f"systemd/{units.CONTROLLER_UNIT}": units.controller_unit(),
        **{f"systemd/{artefact.path.name}": artefact.content for artefact in packaged()[:3]},
        "systemd/sysusers.conf": SYSUSERS,
        "systemd/tmpfiles.conf": TMPFILES,
        "systemd/logrotate.conf": LOGROTATE,
        **drop_ins,
    }
