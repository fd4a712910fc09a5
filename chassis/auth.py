"""Bearer tokens with a role each.

A token is a shared secret for one role. Comparison takes constant time. An empty table means "no authentication", which
a process only accepts when it listens on loopback (`refuse_open_listener`).
"""

import hmac
import ipaddress
from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """Who may do what: an agent syncs, a viewer reads, an operator also writes."""

    AGENT = "agent"
    VIEWER = "viewer"
    OPERATOR = "operator"


class OpenListenerError(Exception):
    """A listener that others can reach was about to start without any token."""


def role_of(authorization: str | None, tokens: Mapping[Role, str]) -> Role | None:
    """Role of an `Authorization: Bearer …` header, or None when it names no known token."""
    presented = bearer_of(authorization)
    if presented is None:
        return None
    matches = [role for role, token in tokens.items() if hmac.compare_digest(token.encode(), presented.encode())]
    return matches[0] if matches else None


def bearer_of(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer …` header; None when it is no such header."""
    scheme, _, presented = (authorization or "").partition(" ")
    return presented if scheme.lower() == "bearer" else None


def refuse_open_listener(address: str, tokens: Mapping[Role, str]) -> None:
    """Raise `OpenListenerError` for a non-loopback listener without tokens."""
    if tokens or ipaddress.ip_address(address).is_loopback:
        return
    msg = f"refusing to listen on {address} without tokens: set the token settings, or listen on 127.0.0.1"
    raise OpenListenerError(msg)
