"""The line to the controller, built from the settings: the connection, the tokens and the loop that talks."""

import random

from agent.line.call import ControllerLine
from agent.line.credentials import Credentials
from agent.line.report import Reporter
from agent.line.sync import SyncLoop
from agent.line.tokens import CREDENTIAL_FILE, JoinToken
from agent.orders.desk import OrderDesk
from agent.settings import AgentSettings
from chassis.clock import Clock
from chassis.tls import KeyPair, TlsFiles


def build_sync(
    settings: AgentSettings, desk: OrderDesk, reporter: Reporter, *, clock: Clock, rng: random.Random
) -> SyncLoop:
    """As the settings say; nothing is read or connected yet."""
    line = ControllerLine(base_url=str(settings.controller_url).rstrip("/"), tls=tls_files(settings))
    credentials = Credentials(
        host=settings.host,
        line=line,
        join=JoinToken(settings.token.get_secret_value(), settings.token_file),
        path=settings.state_dir / CREDENTIAL_FILE,
        controller_time=desk.controller_time,
        degradations=reporter.degradations,
        rng=rng,
    )
    return SyncLoop(
        path=f"/api/v1/agents/{settings.host_id}/sync",
        line=line,
        credentials=credentials,
        board=desk.board,
        reporter=reporter,
        journal=desk.journal,
        desk=desk,
        degradations=reporter.degradations,
        clock=clock,
        rng=rng,
    )


def tls_files(settings: AgentSettings) -> TlsFiles:
    """What this end needs; nothing of it is used over plain HTTP."""
    own = None
    if settings.client_cert_file is not None and settings.client_key_file is not None:
        own = KeyPair(settings.client_cert_file, settings.client_key_file)
    return TlsFiles(authorities=settings.ca_file, own=own)
