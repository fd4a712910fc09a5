"""For agents: the sync, and the credential that it takes. For Prometheus: where agents and replicas can be scraped."""

from typing import Annotated, assert_never

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from chassis.auth import Role
from contracts.agent_api import CredentialGrant, HostReport, SyncRequest, SyncResponse
from contracts.metric_names import LABEL_HOST, LABEL_REGION, LABEL_REPLICA
from contracts.serving_api import Problem
from contracts.vocabulary import HostId, ReplicaState
from controller.api.access import BY_OPERATOR, AgentHost, Operator, agent, applicant, revoked, viewer_or_neighbour
from controller.api.parts import Parts
from controller.api.problems import ProblemError, problem
from controller.stores import CredentialLimit, HostLimit, HostRevoked, NotLeading, Superseded

DISCOVERY_WARM_UP_S = 10.0
"""After taking the lead, wait for the agents: an empty answer is obeyed and drops every target, a 503 keeps them.
An agent that lost its controller returns within its longest pause of 5 s, plus one hold."""
UNSCRAPED = frozenset({ReplicaState.STOPPED, ReplicaState.QUARANTINED})
"""Down on purpose or for good: as targets they would only dilute the coverage of those that should answer."""
RETRY_AFTER = {"Retry-After": "1"}

router = APIRouter(tags=["agents"])


class TargetGroup(BaseModel):
    """One element of Prometheus' HTTP service discovery."""

    targets: list[str]
    labels: dict[str, str]


@router.post("/agents/{host}/sync", dependencies=[Depends(agent)], responses={503: {"model": Problem}})
async def sync(host: AgentHost, body: SyncRequest, parts: Parts) -> SyncResponse:
    """Long poll of one host's agent: report and receipts up, orders and SLO thresholds down.

    Answered at once when the host has open orders it has not confirmed, when its thresholds are outdated or its receipts are
    journaled; otherwise after `max_wait_s`. A standby answers 503.
    """
    if body.report.host != HostId(host):
        raise problem(
            422,
            "the report is about another host",
            field="report.host",
            fix=f"send it to the path of {body.report.host}",
        )
    if not speaks_for_itself(body.report):
        raise problem(
            422,
            "the report names replicas of another host",
            field="report.replicas",
            fix=f"replicas and free slots of this host are called {host}-<slot>",
        )
    answer = await parts.agents.sync(body)
    match answer:
        case SyncResponse():
            return answer
        case NotLeading():
            raise ProblemError(Problem(status=503, title="this controller does not lead"), headers=RETRY_AFTER)
        case Superseded(boot_id=boot_id):
            raise problem(
                409,
                "a newer agent speaks for this host",
                detail=f"boot {boot_id} replaced {body.report.boot_id}",
                fix="run one agent per host id",
            )
        case HostLimit(hosts_max=hosts_max):
            raise problem(503, f"all {hosts_max} places for hosts are taken", fix="remove hosts, or split the fleet")
    assert_never(answer)


@router.post("/agents/{host}/credentials", status_code=201, responses={503: {"model": Problem}})
def grant_credential(
    host: AgentHost, request: Request, parts: Parts, proof: Annotated[str, Depends(applicant)]
) -> CredentialGrant:
    """A token of this host's own, for the join token, for its former one, or for an operator, who also lets a revoked host
    join again.

    The token is in this answer and nowhere else. The former one ends when this one is first shown.
    """
    if proof == BY_OPERATOR:
        parts.credentials.readmit(HostId(host), Role.OPERATOR)
    grant = parts.credentials.grant(HostId(host), proof, request.client.host if request.client else "")
    match grant:
        case CredentialGrant():
            return grant
        case HostRevoked():
            raise revoked(host)
        case CredentialLimit(hosts_max=hosts_max):
            raise problem(503, f"{hosts_max} hosts have credentials", fix="wait until old ones expire, or revoke hosts")
    assert_never(grant)


@router.delete("/agents/{host}/credentials", status_code=204)
def revoke_credentials(host: AgentHost, parts: Parts, name: Operator) -> None:
    """End all credentials of this host, and let it have no other until an operator grants one.

    The host's join token is as compromised as the host: change it as well, which disturbs nobody who has joined.
    """
    parts.credentials.revoke(HostId(host), name)


@router.get("/discovery/replicas", dependencies=[Depends(viewer_or_neighbour)])
async def discover_replicas(parts: Parts) -> list[TargetGroup]:
    """Scrape targets of all replicas, in the format of Prometheus' HTTP service discovery."""
    _require_warmth(parts)
    return [
        TargetGroup(
            targets=[scrape_target(replica.address, replica.port)],
            labels={
                LABEL_REGION: replica.region,
                LABEL_HOST: replica.locality.host,
                LABEL_REPLICA: replica.id,
            },
        )
        for replica in parts.fleet.fleet().replicas()
        if replica.state not in UNSCRAPED
    ]


@router.get("/discovery/agents", dependencies=[Depends(viewer_or_neighbour)])
async def discover_agents(parts: Parts) -> list[TargetGroup]:
    """Scrape targets of all agents.

    A host that fell silent stays a target until it is forgotten after a day: without a target there is no `up == 0` to page.
    """
    _require_warmth(parts)
    return [
        TargetGroup(
            targets=[scrape_target(host.agent_address, host.agent_port)],
            labels={LABEL_REGION: host.locality.region, LABEL_HOST: host.id},
        )
        for host in parts.fleet.fleet().hosts
    ]


def speaks_for_itself(report: HostReport) -> bool:
    """Whether every replica and free slot is called `<host>-<slot>`, so that no host can stand in for another's replica."""
    named = (*(replica.replica for replica in report.replicas), *report.free_slots)
    parts = (name.rpartition("-") for name in named)
    return all(owner == report.host and slot.isdecimal() for owner, _, slot in parts)


def scrape_target(address: str, port: int) -> str:
    """`host:port` as Prometheus wants it: the literal of an IPv6 address goes into brackets."""
    bare = address.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _require_warmth(parts: Parts) -> None:
    leading_for_s = parts.status().leading_for_s
    if leading_for_s is None or leading_for_s < DISCOVERY_WARM_UP_S:
        raise ProblemError(
            Problem(status=503, title="the agents have not all reported yet", fix="keep the former targets"),
            headers=RETRY_AFTER,
        )
