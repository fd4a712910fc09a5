"""Where the controller listens: the socket, the server on it, and its certificate.

With a certificate it speaks HTTPS and nothing else. A renewed certificate is taken up within a minute, for connections made
from then on; the authorities of client certificates are read once, at the start.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from chassis.logs import logger
from chassis.settings import SettingsError
from chassis.tls import KeyPair, RenewingContext
from controller.settings import PREFIX, ControllerSettings

log = logger(__name__)
BACKLOG = 2_048
"""Ten thousand agents may return together after a restart; what does not fit tries again with jitter."""
STOP_WITHIN_S = 5
"""Long polls end at once when the hub closes; this bounds everything else."""
RENEW_EVERY_S = 60.0
"""Certificates are renewed days before they end."""


class Certificate:
    """The listener's TLS, or its absence."""

    def __init__(self, context: RenewingContext | None) -> None:
        self._context = context

    def ssl_context(self) -> ssl.SSLContext | None:
        """For the server; None means plain HTTP."""
        return None if self._context is None else self._context.context

    async def renew(self) -> None:
        """Take up new files if there are any; what cannot be used is logged, and the former certificate stays."""
        if self._context is None:
            return
        try:
            if await asyncio.to_thread(self._context.renew):
                log.info("certificate_renewed", path=str(self._context.own.certificate))
        except OSError as error:
            log.warning("certificate_not_renewed", path=str(self._context.own.certificate), error=repr(error))


def read_certificate(settings: ControllerSettings) -> Certificate:
    """As the settings say; raises `SettingsError` when the files cannot be used."""
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is None or key is None:
        if not settings.address.is_loopback:
            log.warning("listening_without_tls", fix=f"set {PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE")
        return Certificate(None)
    try:
        return Certificate(RenewingContext.of(KeyPair(certificate, key), settings.tls_client_ca_file))
    except OSError as error:
        msg = f"cannot use the certificate {certificate} with the key {key}: {error}"
        raise SettingsError(msg) from error


def listen(address: str, port: int) -> socket.socket:
    """Bind and listen; raises `OSError` when somebody else does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=BACKLOG)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: ours end the long polls first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def build_server(app: FastAPI, certificate: Certificate) -> Server:
    """A server for a socket that `listen` made."""
    context = certificate.ssl_context()
    return Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            backlog=BACKLOG,
            timeout_graceful_shutdown=STOP_WITHIN_S,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )
    )
