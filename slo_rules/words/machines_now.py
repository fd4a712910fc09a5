"""How many of a region's machines work, written into an alert about its users by Prometheus when it fires.

While such an alert pages, the tickets of single machines are not told (`alerts/inhibition.py`): what is not told is counted
here. Agents that do not answer say nothing about their replicas, so both are counted.
"""

from contracts.metric_names import AGENT_REPLICA_UP, JOB_AGENTS, LABEL_JOB, LABEL_REGION, UP

MACHINES = "machines"
"""Name of the annotation."""
_HERE = f"{LABEL_REGION}=%q"
"""`%q` is filled with the alert's own region, quoted the way PromQL reads it."""
_REPLICAS = f"count({AGENT_REPLICA_UP}{{{_HERE}}})"
_REPLICAS_UP = f"sum({AGENT_REPLICA_UP}{{{_HERE}}})"
_SILENT_AGENTS = f'count({UP}{{{LABEL_JOB}="{JOB_AGENTS}",{_HERE}}} == 0)'


def machines_now() -> tuple[str, str]:
    """The annotation for an alert with a region: `5 of 8 known replicas are up, 1 agent(s) do not answer`."""
    return MACHINES, (
        f"{{{{ with {_query(_REPLICAS_UP)} }}}}{{{{ . | first | value }}}} of "
        f"{{{{ with {_query(_REPLICAS)} }}}}{{{{ . | first | value }}}}{{{{ end }}}} known replicas are up"
        "{{ else }}No agent tells of a replica{{ end }}"
        f"{{{{ with {_query(_SILENT_AGENTS)} }}}}, {{{{ . | first | value }}}} agent(s) do not answer{{{{ end }}}}"
    )


def _query(expression: str) -> str:
    return f"printf `{expression}` $labels.{LABEL_REGION} | query"
