"""The agent as a program. Everything is set by environment variables; `--help` lists them with an example."""

import argparse
import asyncio
import random
import signal
import sys

from agent.app import Agent, build_agent
from agent.memory.lock import StateInUseError, only_agent_of
from agent.settings import ENV_PREFIX, AgentSettings
from chassis.clock import SystemClock
from chassis.logs import configure_logs, logger
from chassis.notify import ServiceNotifier, build_notifier
from chassis.settings import SettingsError, inherited_environment, service_manager_environment

log = logger(__name__)
BAD_SETTINGS = 2
"""Exit code: starting again does not help."""
EXAMPLES = f"""\
example, two replicas with one warm spare on this machine:
  {ENV_PREFIX}HOST_ID=eu-west-a {ENV_PREFIX}REGION=eu-west \\
  {ENV_PREFIX}CONTROLLER_URL=http://127.0.0.1:8000 {ENV_PREFIX}STATE_DIR=.trimtab/eu-west-a \\
  {ENV_PREFIX}SLOTS=3 {ENV_PREFIX}REPLICAS=2 {ENV_PREFIX}VOICE_DIR=.trimtab/voice python -m agent

example, managing the containers that carry the label trimtab.replica:
  {ENV_PREFIX}RUNTIME=docker {ENV_PREFIX}DOCKER_LABEL=trimtab.replica … python -m agent
"""


def help_text() -> str:
    """Every variable with its default."""
    lines = []
    for name, field in AgentSettings.model_fields.items():
        default = "required" if field.is_required() else f"default {field.default}"
        lines.append(f"  {ENV_PREFIX}{name.upper():<22} {default}")
    return "settings, from the environment:\n" + "\n".join(lines) + "\n\n" + EXAMPLES


async def serve(agent: Agent, notifier: ServiceNotifier) -> None:
    """Run until SIGTERM or SIGINT, and let systemd know that the event loop is alive."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with notifier.speaking():
        await agent.run(stop)


def main() -> int:
    """Exit code 0 after a clean stop, 2 when the settings cannot be used or another agent has the state directory."""
    argparse.ArgumentParser(
        prog="python -m agent",
        description="Watches, heals and reports the replicas of one host.",
        epilog=help_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        settings = AgentSettings.read()
    except SettingsError as error:
        sys.stderr.write(f"{error}\nsee: python -m agent --help\n")
        return BAD_SETTINGS
    configure_logs(process=f"agent {settings.host_id}", level=settings.log_level)
    try:
        with only_agent_of(settings.state_dir):
            run(settings)
    except StateInUseError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_SETTINGS
    log.info("agent_stopped")
    return 0


def run(settings: AgentSettings) -> None:
    """The life of the agent, from its parts to its last word."""
    clock = SystemClock()
    agent = build_agent(
        settings,
        clock=clock,
        rng=random.Random(),  # noqa: S311  # jitter and a boot id, no secrets
        environment=inherited_environment(),
    )
    asyncio.run(serve(agent, build_notifier(service_manager_environment(), clock=clock)))
