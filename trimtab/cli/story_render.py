"""Decisions, actions, objectives and the fleet as lines and tables."""

from collections.abc import Iterable

from rich.markup import escape
from rich.table import Table

from trimtab.api_bodies import Action, Decision, Fleet, Gpu, Replica, Status

KIND_STYLES = {
    "act": "bold cyan",
    "advance": "cyan",
    "verdict": "bold green",
    "refuse": "yellow",
    "hold": "yellow",
    "reflex": "bold magenta",
    "operator": "bold blue",
    "signal": "yellow",
}
STATE_STYLES = {"ready": "green", "hung": "red", "crashed": "red", "quarantined": "red", "stopped": "dim"}
TIME_OF_DAY = slice(11, 19)
"""HH:MM:SS of an ISO date."""


def decision_line(line: Decision) -> str:
    """When, what kind, and the sentence; Rich markup."""
    style = KIND_STYLES.get(line.kind, "white")
    return f"[dim]{line.at[TIME_OF_DAY]}[/]  [{style}]{line.kind:<8}[/] {escape(line.summary)}"


def evidence_line(line: Decision) -> str:
    """The numbers behind it; empty when there are none."""
    pairs = "  ".join(f"{name}={value}" for name, value in line.evidence.items())
    return f"[dim]                   {escape(pairs)}[/]" if pairs else ""


def status_lines(status: Status) -> Iterable[str]:
    """The controller in a few lines."""
    leader = status.lease.holder if status.lease else "nobody"
    tick = "never" if status.last_tick_age_s is None else f"{status.last_tick_age_s:.1f} s ago"
    trust = ", ".join(f"{count} {name}" for name, count in status.trust.items()) or "no series yet"
    yield f"leader   {escape(leader)} (epoch {status.epoch}); last tick {tick}; {status.ticks_failed} failed ticks"
    yield f"loop     {'[yellow]paused[/]' if status.paused else '[green]acting[/]'}; signals: {trust}"
    yield f"fleet    {status.replicas_ready} of {status.replicas} replicas ready on {status.hosts} hosts"


def fleet_table(fleet: Fleet) -> Table:
    """One row per replica."""
    columns = ("region", "replica", "state", "profile", "gen", "in flight", "queued", "gpu", "where")
    table = Table(*columns, title="replicas", title_justify="left")
    for host in fleet.hosts:
        indexes = {gpu.uuid: str(gpu.gpu) for gpu in host.gpus}
        for replica in host.replicas:
            table.add_row(
                host.region,
                replica.replica,
                _replica_state(replica),
                replica.profile or "–",
                str(replica.generation),
                str(replica.in_flight),
                f"{replica.queued_s:.2f} s",
                ", ".join(indexes.get(uuid, uuid) for uuid in replica.gpus) or "–",
                f"{replica.address}:{replica.port}",
            )
    return table


def trouble_lines(fleet: Fleet) -> Iterable[str]:
    """What the table has no room for: why a replica is not started again, and which are silent when spoken to."""
    for replica in fleet.replicas():
        if replica.withheld:
            yield f"[yellow]{replica.replica} is not started again while its GPU is unfit[/]: {escape(replica.withheld)}"
        if replica.canaries_failed:
            yield f"[yellow]{replica.replica} failed its last test utterances[/]: {replica.canaries_failed} in a row"


def gpus_table(fleet: Fleet) -> Table | None:
    """One row per GPU; None where no host has any. Simulated ones say so in every row."""
    columns = ("host", "gpu", "state", "temperature", "calls for", "because of", "what it is")
    table = Table(*columns, title="GPUs", title_justify="left")
    for host in fleet.hosts:
        for gpu in host.gpus:
            if not gpu.uuid:
                continue  # no device: a host's report that there is no driver
            table.add_row(
                host.host,
                str(gpu.gpu),
                _gpu_state(gpu),
                "–" if gpu.temperature_celsius is None else f"{gpu.temperature_celsius:.0f} °C",
                "–" if gpu.recommended_action == "none" else f"[yellow]{gpu.recommended_action}[/]",
                gpu.action_source or "–",
                "[bold magenta]simulated[/]" if gpu.simulated else escape(gpu.model),
            )
    return table if table.row_count else None


def _replica_state(replica: Replica) -> str:
    style = STATE_STYLES.get(replica.state, "yellow")
    marks = (" (withheld)" if replica.withheld else "") + (" (cordoned)" if replica.cordoned else "")
    return f"[{style}]{replica.state}[/]{marks}"


def _gpu_state(gpu: Gpu) -> str:
    if not gpu.up:
        return f"[red]{escape(gpu.reason or 'down')}[/]"
    return "[yellow]slowed[/]" if gpu.slowed else "[green]up[/]"


def traffic_table(fleet: Fleet) -> Table:
    """One row per gateway: where its traffic goes."""
    table = Table("gateway", "traffic goes to", "runs version", title="gateways", title_justify="left")
    known = {state.gateway: state for state in fleet.gateways if state.gateway}
    shares = fleet.traffic.shares if fleet.traffic else ()
    for gateway in sorted({share.gateway for share in shares}):
        parts = [f"{s.region} {s.share:.0%}" for s in shares if s.gateway == gateway]
        version = known[gateway].version if gateway in known else "no answer"
        table.add_row(gateway, ", ".join(parts), version)
    return table


def actions_table(actions: Iterable[Action]) -> Table:
    """One row per action, newest first."""
    table = Table("when", "action", "about", "stage", "verdict", "by", "detail", title="actions", title_justify="left")
    for action in actions:
        verdict = action.verdict or ("–" if action.is_open else "none")
        when = action.intended_at[TIME_OF_DAY]
        table.add_row(when, action.kind, action.subject, action.stage, verdict, action.origin, escape(action.detail))
    return table
