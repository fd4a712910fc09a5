"""check and doctor: which looks are taken, and what is made of them.

`check` answers "would the agent start and be heard?"; `doctor` answers "what is missing or wrong on this host?", and
includes it. Looks run side by side, so that both take as long as the slowest look at most.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agent.settings import AgentSettings, RuntimeKind
from chassis.clock import Clock
from trimtab.host.facts import DriverFacts, Identity, SettingsFacts
from trimtab.host.findings import Finding, note, unknown
from trimtab.host.gather import host as host_gather
from trimtab.host.gather import setup as setup_gather
from trimtab.host.gather.controller import controller_facts
from trimtab.host.gather.identity import agent_identity
from trimtab.host.gather.side_by_side import Missed, side_by_side
from trimtab.host.judge import host as host_judge
from trimtab.host.judge import setup as setup_judge

WITHIN_S = 12.0
"""Above each look's own limit (8 s for the driver, and the end of its child), so that each can itself say what took so long."""
Look = Callable[[], list[Finding]]


@dataclass(frozen=True, slots=True)
class Examination:
    """Where to look, and with what."""

    env_file: Path
    environment: Mapping[str, str]
    """For the child that asks the driver: what the agent's own children would inherit."""
    clock: Clock
    gpus_required: bool = False


def check(examination: Examination) -> list[Finding]:
    """Settings, port, state directory, controller."""
    facts = setup_gather.settings_facts(examination.env_file)
    identity = agent_identity(facts.settings.runtime if facts.settings else None)
    looks = _setup_looks(facts.settings, identity, examination.clock) if facts.settings else {}
    return [*setup_judge.judge_settings(facts), *_take(looks, examination.clock)]


def doctor(examination: Examination) -> list[Finding]:
    """The above, and the host around it; the host is examined even when the settings cannot be used."""
    facts = setup_gather.settings_facts(examination.env_file)
    identity = agent_identity(facts.settings.runtime if facts.settings else None)
    looks = _host_looks(examination, facts.settings, identity)
    if facts.settings is not None:
        looks |= _setup_looks(facts.settings, identity, examination.clock)
    return [*_judge_identity(identity, facts), *setup_judge.judge_settings(facts), *_take(looks, examination.clock)]


def _setup_looks(settings: AgentSettings, identity: Identity, clock: Clock) -> dict[str, Look]:
    local = settings.controller_is_local

    def port() -> list[Finding]:
        facts = setup_gather.port_facts(settings)
        return [*setup_judge.judge_port(facts), *setup_judge.judge_scraping(facts, local)]

    return {
        "permissions": lambda: setup_judge.judge_files(setup_gather.files_facts(settings, identity), identity),
        "port": port,
        "state": lambda: setup_judge.judge_state(setup_gather.state_facts(settings, identity), identity),
        "controller": lambda: setup_judge.judge_controller(controller_facts(settings, clock), is_local=local),
    }


def _host_looks(examination: Examination, settings: AgentSettings | None, identity: Identity) -> dict[str, Look]:
    environment = {**examination.environment, **setup_gather.other_variables(examination.env_file)}
    clock = examination.clock

    def machine() -> list[Finding]:
        """Driver and engine together: whether containers need a way to GPUs depends on whether there are any."""
        driver = host_gather.driver_facts(identity, environment)
        return [
            *host_judge.judge_driver(driver, gpus_required=examination.gpus_required),
            *_judge_engine(settings, identity, driver),
        ]

    looks: dict[str, Look] = {
        "driver": machine,
        "kernel": lambda: host_judge.judge_kernel(host_gather.kernel_facts()),
        "clock": lambda: host_judge.judge_clock(host_gather.clock_facts()),
        "unit": lambda: host_judge.judge_unit(host_gather.unit_facts()),
    }
    if settings is not None:
        looks["gateways"] = partial(_gateways, settings, clock)
    return looks


def _gateways(settings: AgentSettings, clock: Clock) -> list[Finding]:
    return host_judge.judge_gateways(host_gather.gateway_facts(settings, clock))


def _judge_engine(settings: AgentSettings | None, identity: Identity, driver: DriverFacts) -> list[Finding]:
    real_gpus = bool(driver.gpus) and host_judge.SIMULATED not in driver.version
    return host_judge.judge_engine(host_gather.engine_facts(settings, identity), identity, has_gpus=real_gpus)


def _judge_identity(identity: Identity, facts: SettingsFacts) -> list[Finding]:
    if identity.exists:
        return []
    runtime = facts.settings.runtime if facts.settings else RuntimeKind.PROCESS
    return [note("user", f"there is no user trimtab: permissions are judged for {identity.user} (runtime {runtime})")]


def _take(looks: Mapping[str, Look], clock: Clock) -> list[Finding]:
    answers = side_by_side(looks, within_s=WITHIN_S, clock=clock)
    return [
        finding
        for subject, answer in answers.items()
        for finding in ([unknown(subject, answer.reason)] if isinstance(answer, Missed) else answer)
    ]
