"""Who may do what: viewers read, operators also write, agents sync for their own host and nothing else.

Without any token the process listens on loopback only (`chassis.auth.refuse_open_listener`), and whoever is on the machine
is the operator. Prometheus and Alertmanager next to the controller need no token either: targets are no secret, and an
alert is only noted.
"""

import ipaddress
from typing import Annotated

from fastapi import Depends, Path, Request

from chassis.auth import Role, bearer_of, role_of
from contracts.serving_api import Problem
from contracts.vocabulary import HostId
from controller.api.parts import Parts
from controller.api.problems import ProblemError, problem
from controller.stores import KnownHost, UnknownToken, WrongHost

AgentHost = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""A host id, as agents accept it in their settings."""
BY_OPERATOR = "an operator"
LOCAL_OPERATOR = "local"
"""Name in the audit trail of whoever uses an open loopback listener."""


def viewer(request: Request, parts: Parts) -> str:
    """Name of a caller who may read."""
    return _allow(request, parts, Role.VIEWER, Role.OPERATOR)


def operator(request: Request, parts: Parts) -> str:
    """Name of a caller who may change things."""
    return _allow(request, parts, Role.OPERATOR)


def agent(request: Request, parts: Parts, host: AgentHost) -> None:
    """A caller who speaks for this host: with a credential of its own, or, where that is not required, the join token."""
    if not parts.tokens or _is_own_credential(request, parts, host):
        return
    _allow(request, parts, Role.AGENT)
    _refuse_revoked(parts, host)
    if parts.credentials.required:
        raise problem(
            403,
            "the join token opens nothing but a credential",
            fix=f"exchange it at POST /api/v1/agents/{host}/credentials",
        )


def applicant(request: Request, parts: Parts, host: AgentHost) -> str:
    """By what right the caller may have a credential for this host: for the story."""
    if not parts.tokens:
        return BY_OPERATOR  # whoever is on this machine
    if _is_own_credential(request, parts, host):
        return "its former credential"
    role = _allow(request, parts, Role.AGENT, Role.OPERATOR)
    if role == Role.OPERATOR:
        return BY_OPERATOR
    _refuse_revoked(parts, host)
    return "the join token"


def viewer_or_neighbour(request: Request, parts: Parts) -> str:
    """A reader, or any process on this machine."""
    return LOCAL_OPERATOR if _is_neighbour(request) else _allow(request, parts, Role.VIEWER, Role.OPERATOR)


def operator_or_neighbour(request: Request, parts: Parts) -> str:
    """An operator, or any process on this machine."""
    return LOCAL_OPERATOR if _is_neighbour(request) else _allow(request, parts, Role.OPERATOR)


def _is_own_credential(request: Request, parts: Parts, host: AgentHost) -> bool:
    """False when the token is none; 403 when it is another host's."""
    token = bearer_of(request.headers.get("authorization"))
    match parts.credentials.check(HostId(host), token) if token else UnknownToken():
        case KnownHost():
            return True
        case UnknownToken():
            return False
        case WrongHost():
            raise problem(
                403, f"this credential is not {host}'s", fix="every host has one of its own: do not copy them"
            )


def revoked(host: str) -> ProblemError:
    """403 for a host that was shut out."""
    return problem(403, f"{host} was revoked", fix=f"an operator lets it in: POST /api/v1/agents/{host}/credentials")


def _refuse_revoked(parts: Parts, host: AgentHost) -> None:
    if parts.credentials.is_revoked(HostId(host)):
        raise revoked(host)


Viewer = Annotated[str, Depends(viewer)]
Operator = Annotated[str, Depends(operator)]


def _allow(request: Request, parts: Parts, *roles: Role) -> str:
    if not parts.tokens:
        return LOCAL_OPERATOR
    role = role_of(request.headers.get("authorization"), parts.tokens)
    if role is None:
        raise ProblemError(
            Problem(status=401, title="no valid token", fix="send Authorization: Bearer with a configured token"),
            headers={"WWW-Authenticate": "Bearer"},
        )
    if role not in roles:
        raise problem(403, f"the role {role} may not do this", fix=f"use the token of {' or '.join(roles)}")
    return role


def _is_neighbour(request: Request) -> bool:
    host = request.client.host if request.client else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
