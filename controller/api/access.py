"""Who may do what: viewers read, operators also write, agents sync and nothing else.

Without any token the process listens on loopback only (`chassis.auth.refuse_open_listener`), and whoever is on the machine
is the operator. Prometheus and Alertmanager next to the controller need no token either: targets are no secret, and an
alert is only noted.
"""

import ipaddress
from typing import Annotated

from fastapi import Depends, Request

from chassis.auth import Role, role_of
from contracts.serving_api import Problem
from controller.api.parts import Parts
from controller.api.problems import ProblemError, problem

LOCAL_OPERATOR = "local"
"""Name in the audit trail of whoever uses an open loopback listener."""


def viewer(request: Request, parts: Parts) -> str:
    """Name of a caller who may read."""
    return _allow(request, parts, Role.VIEWER, Role.OPERATOR)


def operator(request: Request, parts: Parts) -> str:
    """Name of a caller who may change things."""
    return _allow(request, parts, Role.OPERATOR)


def agent(request: Request, parts: Parts) -> str:
    """A caller who speaks for a host."""
    return _allow(request, parts, Role.AGENT)


def viewer_or_neighbour(request: Request, parts: Parts) -> str:
    """A reader, or any process on this machine."""
    return LOCAL_OPERATOR if _is_neighbour(request) else _allow(request, parts, Role.VIEWER, Role.OPERATOR)


def operator_or_neighbour(request: Request, parts: Parts) -> str:
    """An operator, or any process on this machine."""
    return LOCAL_OPERATOR if _is_neighbour(request) else _allow(request, parts, Role.OPERATOR)


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
