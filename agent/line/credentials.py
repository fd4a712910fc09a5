"""Which token to show the controller: this host's own credential, got with the join token and renewed by itself.

The join token is on every host, so it is shown as seldom as possible: at the first start, and when the credential is no
longer accepted. The credential is renewed at about half of its life, each host at a moment of its own, with the credential
itself; until the new one was accepted the former one is valid too, so that an answer that gets lost locks nobody out.

A disk that does not keep it costs one join at the next start. A controller that knows no credentials gets the join token.
"""

import asyncio
import random
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from pydantic import ValidationError

from agent.degradation import Degradations
from agent.line.call import ControllerLine, Failed
from agent.line.record import SyncFailure
from agent.line.tokens import Credential, JoinToken, read_credential, write_credential
from agent.orders.desk import ControllerTime
from chassis.logs import logger
from contracts.agent_api import CredentialGrant
from contracts.vocabulary import HostId

log = logger(__name__)
CREDENTIALS, JOIN_TOKEN = "credentials", "join_token"
"""Degraded while a credential cannot be kept or renewed, and while the file with the join token cannot be read."""
ANSWER_S_MAX = 5.0
"""Granting one is a row in a database."""
RENEW_AT = (0.45, 0.55)
"""Shares of its life between which a credential is renewed: hosts that joined together do not renew together."""
RENEW_AGAIN_S = 600.0
"""After a renewal that failed: half a life leaves room for hundreds of tries."""
UNKNOWN_THERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
"""What a controller answers that has no such endpoint yet."""


@dataclass(slots=True)
class Credentials:
    """The tokens of one host."""

    host: HostId
    line: ControllerLine
    join: JoinToken
    path: Path
    controller_time: ControllerTime
    degradations: Degradations
    rng: random.Random
    _held: Credential | None = None
    _opened: bool = False
    _renew_unix_s: float = 0.0
    """The next moment to renew: the credential's own, or later after a failure."""
    _by_join: bool = False
    """The controller grants no credentials: the join token is all there is."""

    async def token(self) -> str | Failed:
        """The token to show now, empty for none; or why there is none."""
        if not self._opened:
            await self._open()
        join = await self._read_join_token()
        if self._held is not None:
            return await self._with_held(self._held, join)
        return join if not join or self._by_join else await self._obtain_by(join)

    def refused(self, failed: Failed) -> None:
        """The controller did not accept the token that it was shown: a credential is dropped, and the host joins anew."""
        if failed.why not in {SyncFailure.UNAUTHORIZED, SyncFailure.FORBIDDEN}:
            return
        self._by_join = False  # it may know credentials by now, and want one
        if self._held is not None:
            log.warning("credential_dropped", reason=failed.detail)
            self._held = None

    async def _with_held(self, held: Credential, join: str) -> str | Failed:
        now_unix_s = self.controller_time.now_unix_s()
        if now_unix_s < self._renew_unix_s:
            return held.token
        renewed = await self._obtain(held.token)
        if isinstance(renewed, str):
            return renewed
        self._renew_unix_s = now_unix_s + RENEW_AGAIN_S * (0.5 + self.rng.random())
        is_heard = renewed.status is not None  # before that the time is this host's own, and may be wrong by years
        if renewed.why is not SyncFailure.UNAUTHORIZED and not (is_heard and now_unix_s >= held.expires_unix_s):
            self.degradations.set(CREDENTIALS, f"cannot renew the credential: {renewed.detail}")
            return held.token
        self._held = None
        return await self._obtain_by(join) if join else renewed

    async def _obtain_by(self, join: str) -> str | Failed:
        obtained = await self._obtain(join)
        if isinstance(obtained, Failed) and obtained.status in UNKNOWN_THERE:
            self._by_join = True
            return join
        return obtained

    async def _obtain(self, proof: str) -> str | Failed:
        """Exchange `proof` for a new credential, and keep it."""
        reply = await self.line.post(f"/api/v1/agents/{self.host}/credentials", "", token=proof, timeout_s=ANSWER_S_MAX)
        if isinstance(reply, Failed):
            return reply
        try:
            grant = CredentialGrant.model_validate_json(reply.content)
        except ValidationError:
            return Failed(SyncFailure.INVALID, "the controller granted something that is no credential")
        await self._keep(grant)
        return grant.token

    async def _keep(self, grant: CredentialGrant) -> None:
        life_s = grant.expires_unix_s - grant.server_unix_s
        self._held = Credential(
            host=self.host,
            token=grant.token,
            renew_unix_s=grant.server_unix_s + life_s * self.rng.uniform(*RENEW_AT),
            expires_unix_s=grant.expires_unix_s,
        )
        self._renew_unix_s = self._held.renew_unix_s
        self.controller_time.heard(grant.server_unix_s)
        log.info("credential_received", expires_unix_s=grant.expires_unix_s)
        try:
            await asyncio.to_thread(write_credential, self.path, self._held)
        except OSError as error:
            self.degradations.set(CREDENTIALS, f"the credential is not kept, a restart joins anew: {error}")
        else:
            self.degradations.clear(CREDENTIALS)

    async def _read_join_token(self) -> str:
        try:
            join = await asyncio.to_thread(self.join.read)
        except (OSError, ValueError) as error:
            self.degradations.set(JOIN_TOKEN, f"cannot read the join token: {error}")
            return ""
        self.degradations.clear(JOIN_TOKEN)
        return join

    async def _open(self) -> None:
        self._opened = True
        try:
            self._held = await asyncio.to_thread(read_credential, self.path, self.host)
        except (OSError, ValueError) as error:
            log.warning("credential_not_read", path=str(self.path), error=repr(error))
        if self._held is not None:
            self._renew_unix_s = self._held.renew_unix_s
