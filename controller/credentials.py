"""Gives every host a token of its own, and recognises it.

The join token is shared by all hosts, so it should open as little as possible: with it a host gets a credential, and with the
credential it syncs as itself and nobody else. A credential is 256 random bits; only its hash is stored, and because nothing
can be guessed about 256 random bits, a plain SHA-256 is enough. It lives for days and is renewed at half of that. The
former one ends when the new one is first shown, or after a grace when an answer got lost, so that nobody is locked out.

A host that was revoked gets nothing with the join token: it is on that very host. Only an operator lets it in again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from chassis.clock import Clock
from chassis.logs import logger
from contracts.agent_api import CredentialGrant
from contracts.vocabulary import HostId
from controller.ports import DecisionRecord
from controller.stores import (
    Change,
    CredentialLimit,
    CredentialStore,
    HostCredential,
    HostRevoked,
    KnownHost,
    UnknownToken,
    WrongHost,
)

log = logger(__name__)
LIFE_S_DEFAULT = 7 * 86_400.0
"""A stolen credential is worth a week at most, and an agent that was off over a long weekend need not join again."""
FORMER_GRACE_S = 3_600.0
"""How long a former credential stays valid when the new one is never shown: hours of retries fit in for an agent that did
not get the answer."""
REMEMBER_S = 5.0
"""An agent shows its credential every two seconds; the database is asked this often. A revocation made through another
controller is therefore felt this much later; one made here, at once."""
REMEMBERED_MAX = 20_000
"""Tokens remembered between two questions to the database: twice the places for hosts."""


@dataclass(slots=True)
class CredentialOffice:
    """`stores.CredentialDesk` over a store. Called from many threads: what it remembers is forgotten by replacing it whole,
    so that an answer of the database from before is remembered by nobody."""

    store: CredentialStore
    clock: Clock
    new_token: Callable[[], str]
    """256 bits or more from the system's source of randomness, as text without spaces."""
    new_id: Callable[[], str]
    required: bool
    life_s: float = LIFE_S_DEFAULT
    _known: dict[str, tuple[HostCredential, float]] = field(default_factory=dict)
    _revoked: frozenset[HostId] = frozenset()
    _revoked_s: float = float("-inf")

    def check(self, host: HostId, token: str) -> KnownHost | WrongHost | UnknownToken:
        """Whether `token` speaks for `host` now; the first time it is shown, its predecessors end."""
        credential = self._find(hash_of(token))
        if credential is None or credential.expires_unix_s <= self.clock.now_unix_s():
            return UnknownToken()
        if credential.host != host:
            return WrongHost()
        if not credential.used:
            self.store.use_credential(credential)
            self._known = {}  # predecessors are remembered as valid, and this one as unused
        return KnownHost()

    def is_revoked(self, host: HostId) -> bool:
        """Whether an operator shut it out."""
        now_s = self.clock.monotonic_s()
        if now_s - self._revoked_s >= REMEMBER_S:
            self._revoked, self._revoked_s = self.store.revoked_hosts(), now_s
        return host in self._revoked

    def grant(self, host: HostId, proof: str, address: str) -> CredentialGrant | HostRevoked | CredentialLimit:
        """A new token for the host; the only time that anybody sees it."""
        token, now_unix_s = self.new_token(), self.clock.now_unix_s()
        credential = HostCredential(
            host=host,
            token_hash=hash_of(token),
            issued_unix_s=now_unix_s,
            expires_unix_s=now_unix_s + self.life_s,
            used=False,
        )
        line = DecisionRecord(
            id=self.new_id(),
            at_unix_s=now_unix_s,
            epoch=0,  # said by nobody who leads
            kind="signal",
            subject=host,
            summary=f"{host} got a credential of its own by {proof}",
            evidence=(("address", address), ("credential", credential.token_hash[:12]), ("proof", proof)),
        )
        refusal = self.store.add_credential(credential, now_unix_s + FORMER_GRACE_S, line)
        if refusal is not None:
            log.warning("credential_refused", host=host, proof=proof, address=address, reason=type(refusal).__name__)
            return refusal
        self._known = {}  # the former ones end earlier now
        log.info(
            "credential_granted", host=host, proof=proof, address=address, expires_unix_s=credential.expires_unix_s
        )
        return CredentialGrant(token=token, expires_unix_s=credential.expires_unix_s, server_unix_s=now_unix_s)

    def revoke(self, host: HostId, operator: str) -> None:
        """Shut the host out at once."""
        ended = self.store.revoke_host(host, Change(operator=operator, at_unix_s=self.clock.now_unix_s()))
        self._forget()
        log.warning("host_revoked", host=host, operator=operator, credentials=ended)

    def readmit(self, host: HostId, operator: str) -> None:
        """Let it join again."""
        if self.store.readmit_host(host, Change(operator=operator, at_unix_s=self.clock.now_unix_s())):
            log.warning("host_readmitted", host=host, operator=operator)
        self._forget()

    def _find(self, token_hash: str) -> HostCredential | None:
        """Only what exists is remembered: nobody fills the memory by showing nonsense."""
        known, now_s = self._known, self.clock.monotonic_s()
        found = known.get(token_hash)
        if found is not None and now_s - found[1] < REMEMBER_S:
            return found[0]
        credential = self.store.find_credential(token_hash)
        if credential is None:
            known.pop(token_hash, None)
            return None
        if len(known) >= REMEMBERED_MAX:
            known.clear()
        known[token_hash] = (credential, now_s)
        return credential

    def _forget(self) -> None:
        self._known = {}
        self._revoked_s = float("-inf")


def hash_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
