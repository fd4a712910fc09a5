"""systemd units of the agent and of the controller, and the drop-in that fits the agent to its runtime.

The sandbox is closed as far as the work allows, and what stays open says why. Three doors look closable and are not:
`ProtectClock=` adds a device rule, and any device rule hides every other device (the clock is protected by capability and
system call instead); a rule for `char-nvidia*` holds the device numbers of the moment, so that a driver loaded or
upgraded later would be invisible until a restart (device files and groups guard instead); `ProtectProc=invisible` would
hide whose process holds GPU memory. `systemd-analyze verify` and `security` judge the results in the tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.settings import RuntimeKind

AGENT_UNIT = "trimtab-agent.service"
CONTROLLER_UNIT = "trimtab-controller.service"
RESET_UNIT = "trimtab-gpu-reset@.service"
USER = "trimtab"
STATE_DIR = "/var/lib/trimtab"
AGENT_ENV = "/etc/trimtab/agent.env"
CONTROLLER_ENV = "/etc/trimtab/controller.env"
PYTHON = "/opt/trimtab/bin/python"
"""Where the package puts its own environment."""
STOP_MARGIN_S = 10.0
"""Beyond the replicas' grace: ending the GPU worker, the pages and the journal takes two seconds at most."""

SANDBOX = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
UMask=0077
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@clock @cpu-emulation @debug @module @mount @obsolete @privileged @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
LimitCORE=0
"""

AGENT = """\
[Unit]
Description=Trimtab agent: watches, heals and reports the TTS replicas of this host
Documentation=file:///usr/share/doc/trimtab/README.md
# The driver's device files and the engine's socket should be there first; neither is required, the agent waits for both.
After=network-online.target docker.service nvidia-persistenced.service
Wants=network-online.target
# Ten starts in five minutes are a fault that starting again does not mend: then systemd stops trying, and `doctor` says why.
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
# READY=1 and WATCHDOG=1 come from the event loop: one that stalls for {watchdog_s} s is ended and started again.
Type=notify
NotifyAccess=main
TimeoutStartSec=60
WatchdogSec={watchdog_s}
User={user}
Group={user}
EnvironmentFile={env}
ExecStart={python} -m agent
Restart=always
RestartSec=1
# Exit code 2: settings that cannot be used. They do not become better by themselves.
RestartPreventExitStatus=2
# SIGTERM goes to the agent alone, which ends its replicas within their grace; after that SIGKILL goes to all that is left. A
# worker stuck in the GPU driver cannot be killed: it is left behind, and holds no port.
KillMode=mixed
TimeoutStopSec={stop_s:g}
# A replica that runs out of memory is healed by the agent; by default systemd would end the agent with it.
OOMPolicy=continue
StateDirectory={user}
StateDirectoryMode=0750
RuntimeDirectory={user}
RuntimeDirectoryMode=0750
WorkingDirectory={state_dir}
# One connection a replica and a scrape, two pipes and a log a child, an event stream: hundreds; far below this.
LimitNOFILE=65536

# What it may do: read the kernel log, where the driver writes its Xids, also those of before the agent started. That is the one
# capability it keeps; device files and the engine's socket are opened by group (see the drop-in).
CapabilityBoundingSet=CAP_SYSLOG
AmbientCapabilities=CAP_SYSLOG
# What it may not do. Devices stay visible for the GPUs, and /proc for whose memory is on them.
{sandbox}
[Install]
WantedBy=multi-user.target
"""

CONTROLLER = """\
[Unit]
Description=Trimtab controller: keeps the TTS fleet inside its SLOs
Documentation=file:///usr/share/doc/trimtab/README.md
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=notify
NotifyAccess=main
# Migrating a large journal comes before READY=1.
TimeoutStartSec=300
WatchdogSec={watchdog_s}
DynamicUser=yes
EnvironmentFile={env}
ExecStart={python} -m controller
Restart=always
# Agents heal alone meanwhile, and gateways keep their state: there is no hurry that would justify a restart storm.
RestartSec=1
RestartPreventExitStatus=2
# Long polls end at once when it stops; this bounds everything else.
TimeoutStopSec=15
StateDirectory=trimtab-controller
StateDirectoryMode=0750
WorkingDirectory=/var/lib/trimtab-controller
# One held request for each agent.
LimitNOFILE=65536
MemoryHigh=1G
MemoryMax=2G
TasksMax=256
OOMPolicy=stop

CapabilityBoundingSet=
AmbientCapabilities=
PrivateDevices=yes
PrivateUsers=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectProc=invisible
ProcSubset=pid
MemoryDenyWriteExecute=yes
{sandbox}\
SystemCallFilter=~@resources

[Install]
WantedBy=multi-user.target
"""

RESET = """\
[Unit]
Description=Reset the NVIDIA GPU %i
Documentation=file:///usr/share/doc/trimtab/README.md
# The one thing here that needs root, so that the agent does not. The polkit rule beside it lets the agent start it; nothing
# does while TRIMTAB_AGENT_ALLOW_GPU_RESET is false.

[Service]
Type=oneshot
ExecStart=/usr/bin/nvidia-smi --gpu-reset -i %i
# A reset takes 5 to 30 s with NVLink; one that takes longer hangs in the driver.
TimeoutStartSec=90
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateNetwork=yes
NoNewPrivileges=yes
"""

POLKIT = """\
// Lets the agent ask systemd for two things that need root: the reset of one GPU, and an orderly reboot.
// It asks only for orders that TRIMTAB_AGENT_ALLOW_GPU_RESET or TRIMTAB_AGENT_ALLOW_REBOOT permits.
polkit.addRule(function (action, subject) {{
  if (subject.user !== "{user}") return polkit.Result.NOT_HANDLED;
  if (action.id === "org.freedesktop.login1.reboot" || action.id === "org.freedesktop.login1.reboot-multiple-sessions")
    return polkit.Result.YES;
  if (action.id === "org.freedesktop.systemd1.manage-units" && action.lookup("verb") === "start" &&
      /^trimtab-gpu-reset@GPU-[0-9a-f-]+[.]service$/.test(action.lookup("unit")))
    return polkit.Result.YES;
  return polkit.Result.NOT_HANDLED;
}});
"""

DOCKER_DROP_IN = """\
# The agent manages containers: it needs the engine's socket, and nothing of a replica lives in its own control group.
# Membership in `docker` equals root on this host, because the engine runs what it is told to. Keep the agent's settings, and the
# controller's tokens, as safe as root's.
[Service]
{groups}\
MemoryDenyWriteExecute=yes
# Measured below 70 MB, its GPU worker included.
MemoryHigh=256M
MemoryMax=512M
TasksMax=512
# When the host runs out of memory, the one that can heal goes last.
OOMScoreAdjust=-500
TimeoutStopSec={stop_s:g}
"""

PROCESS_DROP_IN = """\
# Replicas are children of the agent and live in its control group: they need the GPUs' device files, code compiled at run time
# and as much memory as the host has. To bound them, set MemoryMax= to the sum of all replicas and 512M for the agent.
[Service]
{groups}\
MemoryDenyWriteExecute=no
TasksMax=8192
TimeoutStopSec={stop_s:g}
"""

WATCHDOG_S = 30
"""The loop turns every few milliseconds; half a minute without a turn is no load, it is a fault."""


@dataclass(frozen=True, slots=True)
class HostChoices:
    """What differs from host to host in its units."""

    runtime: RuntimeKind
    groups: Sequence[str]
    """Supplementary groups; only those that exist, because systemd refuses to start a unit that names another."""
    stop_grace_s: float


def agent_unit(python: str = PYTHON) -> str:
    """trimtab-agent.service; `python` is the interpreter of the environment that has the package."""
    return AGENT.format(
        python=python,
        user=USER,
        env=AGENT_ENV,
        state_dir=STATE_DIR,
        watchdog_s=WATCHDOG_S,
        stop_s=5 + STOP_MARGIN_S,
        sandbox=SANDBOX,
    )


def controller_unit(python: str = PYTHON) -> str:
    """trimtab-controller.service. It needs no device and no other user's process, so nearly everything is closed."""
    return CONTROLLER.format(python=python, env=CONTROLLER_ENV, watchdog_s=WATCHDOG_S, sandbox=SANDBOX)


def runtime_drop_in(choices: HostChoices) -> str:
    """trimtab-agent.service.d/10-runtime.conf."""
    template = PROCESS_DROP_IN if choices.runtime is RuntimeKind.PROCESS else DOCKER_DROP_IN
    groups = f"SupplementaryGroups={' '.join(choices.groups)}\n" if choices.groups else ""
    return template.format(groups=groups, stop_s=choices.stop_grace_s + STOP_MARGIN_S)


def groups_of(runtime: RuntimeKind) -> tuple[str, ...]:
    """Groups that give the agent what the runtime needs, where they exist: the engine's socket, or GPU device files."""
    return ("video", "render") if runtime is RuntimeKind.PROCESS else ("docker",)


def reset_unit() -> str:
    """trimtab-gpu-reset@.service: runs as root, for one GPU."""
    return RESET


def polkit_rules() -> str:
    """Who may start it."""
    return POLKIT.format(user=USER)
