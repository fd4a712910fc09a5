"""Where credentials of hosts are kept: in SQL, or in a dictionary with the same promises except durability."""

from dataclasses import replace

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from contracts.vocabulary import HostId
from controller.journal import tables
from controller.journal.database import Database
from controller.journal.sql import decision_row
from controller.ports import DecisionRecord
from controller.stores import Change, CredentialLimit, HostCredential, HostRevoked

HOSTS_MAX = 10_000
"""As many as the hub has places for: whoever has the join token must not be able to fill the disk with made-up hosts."""
PER_HOST_MAX = 4
"""Credentials of one host at a time: the one in use, and those of answers that got lost. The newest stay."""


class SqlCredentials:
    """`stores.CredentialStore` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_credential(
        self, credential: HostCredential, former_until_unix_s: float, line: DecisionRecord
    ) -> HostRevoked | CredentialLimit | None:
        """Unless the host is shut out, or no place is left."""
        table, columns = tables.host_credentials, tables.host_credentials.c
        with self._database.writing() as connection:
            _lock(connection)
            if _is_revoked(connection, credential.host):
                return HostRevoked()
            connection.execute(delete(table).where(columns.expires_unix_s <= credential.issued_unix_s))
            others = select(func.count(columns.host.distinct())).where(columns.host != credential.host)
            if (connection.scalar(others) or 0) >= HOSTS_MAX:
                return CredentialLimit(hosts_max=HOSTS_MAX)
            own = columns.host == credential.host
            newest = select(columns.line).where(own).order_by(columns.line.desc()).limit(PER_HOST_MAX - 1)
            connection.execute(delete(table).where(own, columns.line.not_in(list(connection.scalars(newest)))))
            connection.execute(
                update(table)
                .where(own, columns.expires_unix_s > former_until_unix_s)
                .values(expires_unix_s=former_until_unix_s)
            )
            connection.execute(insert(table).values(_row(credential)))
            connection.execute(insert(tables.decisions).values(decision_row(line)))
        return None

    def find_credential(self, token_hash: str) -> HostCredential | None:
        """By the unique index."""
        query = select(tables.host_credentials).where(tables.host_credentials.c.token_hash == token_hash)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _credential(row)

    def use_credential(self, credential: HostCredential) -> None:
        """Those issued before it end."""
        table, columns = tables.host_credentials, tables.host_credentials.c
        with self._database.writing() as connection:
            _lock(connection)
            line = connection.scalar(select(columns.line).where(columns.token_hash == credential.token_hash))
            if line is None:
                return
            connection.execute(update(table).where(columns.line == line).values(used=True))
            connection.execute(delete(table).where(columns.host == credential.host, columns.line < line))

    def revoke_host(self, host: HostId, change: Change) -> int:
        """Written down with who did it."""
        with self._database.writing() as connection:
            _lock(connection)
            gone = connection.execute(
                delete(tables.host_credentials).where(tables.host_credentials.c.host == host)
            ).rowcount
            if not _is_revoked(connection, host):
                values = {"host": host, "at_unix_s": change.at_unix_s, "operator": change.operator}
                connection.execute(insert(tables.revoked_hosts).values(values))
            connection.execute(insert(tables.decisions).values(decision_row(revocation_line(host, change, gone))))
            return gone

    def readmit_host(self, host: HostId, change: Change) -> bool:
        """Written down when it changes anything."""
        with self._database.writing() as connection:
            _lock(connection)
            gone = connection.execute(delete(tables.revoked_hosts).where(tables.revoked_hosts.c.host == host))
            if gone.rowcount:
                connection.execute(insert(tables.decisions).values(decision_row(readmission_line(host, change))))
            return bool(gone.rowcount)

    def revoked_hosts(self) -> frozenset[HostId]:
        """A handful, if any."""
        with self._database.reading() as connection:
            return frozenset(HostId(host) for host in connection.scalars(select(tables.revoked_hosts.c.host)))


class MemoryCredentials:
    """The same as dictionaries, for simulations and tests."""

    def __init__(self) -> None:
        self.story: list[DecisionRecord] = []
        """Unbounded: a simulation's length bounds it."""
        self._credentials: dict[str, HostCredential] = {}
        self._revoked: set[HostId] = set()

    def add_credential(
        self, credential: HostCredential, former_until_unix_s: float, line: DecisionRecord
    ) -> HostRevoked | CredentialLimit | None:
        """Unless the host is shut out, or no place is left."""
        if credential.host in self._revoked:
            return HostRevoked()
        now_unix_s = credential.issued_unix_s
        alive = [known for known in self._credentials.values() if known.expires_unix_s > now_unix_s]
        if len({known.host for known in alive} - {credential.host}) >= HOSTS_MAX:
            return CredentialLimit(hosts_max=HOSTS_MAX)
        own = [known for known in alive if known.host == credential.host][-(PER_HOST_MAX - 1) :]
        ending = [replace(known, expires_unix_s=min(known.expires_unix_s, former_until_unix_s)) for known in own]
        others = [known for known in alive if known.host != credential.host]
        self._credentials = {known.token_hash: known for known in (*others, *ending, credential)}
        self.story.append(line)
        return None

    def find_credential(self, token_hash: str) -> HostCredential | None:
        """None when there is none any more."""
        return self._credentials.get(token_hash)

    def use_credential(self, credential: HostCredential) -> None:
        """Those issued before it end."""
        own = [known.token_hash for known in self._credentials.values() if known.host == credential.host]
        if credential.token_hash not in own:
            return
        for token_hash in own[: own.index(credential.token_hash)]:
            del self._credentials[token_hash]
        self._credentials[credential.token_hash] = replace(self._credentials[credential.token_hash], used=True)

    def revoke_host(self, host: HostId, change: Change) -> int:
        """Written down with who did it."""
        own = [known.token_hash for known in self._credentials.values() if known.host == host]
        for token_hash in own:
            del self._credentials[token_hash]
        self._revoked.add(host)
        self.story.append(revocation_line(host, change, len(own)))
        return len(own)

    def readmit_host(self, host: HostId, change: Change) -> bool:
        """Written down when it changes anything."""
        if host not in self._revoked:
            return False
        self._revoked.discard(host)
        self.story.append(readmission_line(host, change))
        return True

    def revoked_hosts(self) -> frozenset[HostId]:
        """Every host that is shut out."""
        return frozenset(self._revoked)


def revocation_line(host: HostId, change: Change, ended: int) -> DecisionRecord:
    """For the story."""
    return _line(host, change, "revoked", f"{change.operator} shut {host} out: {ended} of its credentials ended")


def readmission_line(host: HostId, change: Change) -> DecisionRecord:
    """For the story."""
    return _line(host, change, "readmitted", f"{change.operator} lets {host} join again")


def _line(host: HostId, change: Change, what: str, summary: str) -> DecisionRecord:
    return DecisionRecord(
        id=f"host-{what}-{host}-{change.at_unix_s:.6f}",
        at_unix_s=change.at_unix_s,
        epoch=0,  # said by nobody who leads
        kind="operator",
        subject=host,
        summary=summary,
    )


def _lock(connection: Connection) -> None:
    """One writer at a time, as everywhere in the journal: what is read here does not change before it is written."""
    connection.execute(select(tables.lease.c.id).with_for_update())


def _is_revoked(connection: Connection, host: HostId) -> bool:
    return connection.scalar(select(tables.revoked_hosts.c.host).where(tables.revoked_hosts.c.host == host)) is not None


def _row(credential: HostCredential) -> dict[str, object]:
    return {
        "host": credential.host,
        "token_hash": credential.token_hash,
        "issued_unix_s": credential.issued_unix_s,
        "expires_unix_s": credential.expires_unix_s,
        "used": credential.used,
    }


def _credential(row: RowMapping) -> HostCredential:
    return HostCredential(
        host=HostId(row["host"]),
        token_hash=row["token_hash"],
        issued_unix_s=row["issued_unix_s"],
        expires_unix_s=row["expires_unix_s"],
        used=row["used"],
    )
