"""Process plans of our own programs: the controller, and one agent per region with its replicas below it."""

import json

from trimtab.stack.blueprint import Blueprint
from trimtab.stack.model import ProcessPlan, ReadyHttp
from trimtab.stack.settings import RegionLayout

VOICE_LOADS_WITHIN_S = 120.0
"""Every replica and spare of a region loads and tests its voice; on two busy cores that is a minute, so twice that."""
MACHINE_PERMISSIONS = {"GPU_RESET_ALLOWED": "true", "HOST_REBOOT_ALLOWED": "true"}
"""Of the loop, where GPUs are simulated, and so are their resets and their hosts' reboots: the whole ladder can be seen."""
AGENT_STOP_GRACE_S = 12.0
"""The agent lets its replicas finish their sentences first."""


def controller(blueprint: Blueprint) -> ProcessPlan:
    """The loop and its API. Live is enough to go on: being ready to lead takes agents, and those need it first."""
    layout, tokens = blueprint.layout, blueprint.tokens
    gateways = [
        {
            "region": str(region.region),
            "admin_url": region.gateway_admin.url,
            "eds_dir": str(layout.eds_dir(region)),
        }
        for region in layout.regions
    ]
    fields = {
        "ADDRESS": layout.controller.address,
        "PORT": str(layout.controller.port),
        "DATABASE_URL": f"sqlite:///{layout.home / 'controller' / 'journal.db'}",
        "PROMETHEUS_URL": layout.prometheus.url,
        "AGENT_TOKEN": tokens.agent,
        "OPERATOR_TOKEN": tokens.operator,
        "VIEWER_TOKEN": tokens.viewer,
        "GATEWAYS": json.dumps(gateways),
        "RULES_FILE": str(layout.rules_file),
        "TICK_S": f"{layout.settings.tick_s:g}",
        "BLOCK_S": f"{layout.settings.block_s:g}",
        "REPLICAS_MIN": str(layout.settings.replicas),
        "WORKERS_PER_REPLICA": str(layout.settings.workers),
        **(MACHINE_PERMISSIONS if layout.settings.gpus else {}),
        **dict(layout.settings.controller_env),
    }
    return ProcessPlan(
        name="controller",
        argv=(blueprint.programs.python, "-m", "controller"),
        log=layout.log("controller"),
        listeners=(layout.controller,),
        ready=(ReadyHttp(f"{layout.controller.url}/livez"),),
        env=blueprint.env("TRIMTAB_CONTROLLER_", fields),
        directories=(
            layout.home / "controller",
            layout.rules_file.parent,
            *(layout.eds_dir(region) for region in layout.regions),
        ),
    )


def agent(blueprint: Blueprint, region: RegionLayout) -> ProcessPlan:
    """One host: its agent, and through it the replicas, which must be ready before the agent counts as started."""
    layout, settings = blueprint.layout, blueprint.layout.settings
    state = layout.home / "agents" / region.host
    fields = {
        "HOST_ID": str(region.host),
        "REGION": str(region.region),
        "ADDRESS": region.agent.address,
        "PORT": str(region.agent.port),
        "CONTROLLER_URL": layout.controller.url,
        "TOKEN": blueprint.tokens.agent,
        "RUNTIME": "process",
        "STATE_DIR": str(state),
        "SLOTS": str(settings.slots),
        "REPLICAS": str(settings.replicas),
        "SPARES": str(settings.spares),
        "REPLICA_ADDRESS": region.agent.address,
        "REPLICA_PORT_BASE": str(region.replica_port_base),
        "REPLICA_PROFILE": str(settings.profile),
        "REPLICA_WORKERS": str(settings.workers),
        "VOICE_DIR": str(settings.voice_dir),
        "REDIS_URL": f"redis://{layout.redis.address}:{layout.redis.port}/0",
        "FIRST_AUDIO_BUDGET_S": f"{settings.first_audio_budget_s:g}",
        "TOTAL_BUDGET_S": f"{settings.total_budget_s:g}",
        "GATEWAYS": json.dumps(
            {
                str(other.region): f"{other.gateway.address}:{other.gateway.port}"
                for other in layout.regions
                if other.region != region.region
            }
        ),
        **_simulated_gpus(blueprint, region),
    }
    return ProcessPlan(
        name=f"agent-{region.region}",
        argv=(blueprint.programs.python, "-m", "agent"),
        log=layout.log(f"agent-{region.region}"),
        listeners=(region.agent, *(region.replica(slot) for slot in range(settings.slots))),
        ready=tuple(ReadyHttp(f"{region.replica(slot).url}/readyz") for slot in range(settings.replicas)),
        env=blueprint.env("TRIMTAB_AGENT_", fields),
        directories=(state,),
        depends_on=("controller", "redis"),
        ready_within_s=VOICE_LOADS_WITHIN_S,
        stop_grace_s=AGENT_STOP_GRACE_S,
    )


def _simulated_gpus(blueprint: Blueprint, region: RegionLayout) -> dict[str, str]:
    """Where its GPUs are, and leave to reset and reboot: both are simulated as well."""
    if blueprint.layout.settings.gpus == 0:
        return {}
    return {
        "SIMULATED_GPUS": str(blueprint.layout.gpus_dir(region.host)),
        "ALLOW_GPU_RESET": "true",
        "ALLOW_REBOOT": "true",
    }
