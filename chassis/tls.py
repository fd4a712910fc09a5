"""Certificates from files, read again when they were renewed.

A certificate lives for weeks and is renewed by somebody else, who writes new files. Nobody should have to restart a process
for that: whoever uses the files asks now and then whether they have changed.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate, with the chain below it, and its private key: two PEM files, or one file named twice."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What one end of a connection needs."""

    authorities: Path | None = None
    """PEM file of those who may have signed the other end's certificate; None: the system's."""
    own: KeyPair | None = None
    """What we show; None: nothing, which only a client may."""

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Differs when any of the files has changed. Raises `OSError` when one is missing."""
        paths = (self.authorities, *((self.own.certificate, self.own.key) if self.own is not None else ()))
        stats = [path.stat() for path in paths if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For connecting: the other end must be who its name says. Raises `OSError`, of which `ssl.SSLError` is one."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=files.authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.own is not None:
        context.load_cert_chain(files.own.certificate, files.own.key)
    return context


def server_context(own: KeyPair, client_authorities: Path | None) -> ssl.SSLContext:
    """For listening; with `client_authorities`, whoever shows no certificate of theirs is turned away. Raises `OSError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(own.certificate, own.key)
    if client_authorities is not None:
        context.load_verify_locations(cafile=client_authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(slots=True)
class RenewingContext:
    """A listening context whose certificate follows its files. A change of the client authorities takes a restart."""

    own: KeyPair
    client_authorities: Path | None
    context: ssl.SSLContext
    _stamp: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, own: KeyPair, client_authorities: Path | None = None) -> "RenewingContext":
        """Read the files for the first time; raises `OSError`."""
        stamp = TlsFiles(own=own).stamp()
        return cls(own, client_authorities, server_context(own, client_authorities), stamp)

    def renew(self) -> bool:
        """Take new files for connections from now on; True when there were any. Raises `OSError`, and keeps the former.

        The pair is tried on a context of its own first: half of a renewal, a new certificate with the old key, must not
        reach the listener.
        """
        stamp = TlsFiles(own=self.own).stamp()
        if stamp == self._stamp:
            return False
        server_context(self.own, None)
        self.context.load_cert_chain(self.own.certificate, self.own.key)
        self._stamp = stamp
        return True
