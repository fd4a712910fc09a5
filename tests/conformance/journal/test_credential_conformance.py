"""What every store of credentials promises, run over both; the office above them is the same."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from chassis.clock import ManualClock
from contracts.agent_api import CredentialGrant
from contracts.vocabulary import HostId
from controller.credentials import FORMER_GRACE_S, REMEMBER_S, CredentialOffice, hash_of
from controller.journal import credentials as stores
from controller.journal.credentials import PER_HOST_MAX, MemoryCredentials, SqlCredentials
from controller.journal.database import open_database
from controller.stores import CredentialLimit, CredentialStore, HostRevoked, KnownHost, UnknownToken, WrongHost

HOST, OTHER = HostId("eu-west-a"), HostId("eu-west-b")
LIFE_S = 86_400.0
JOIN = "the join token"


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CredentialStore]:
    if request.param == "memory":
        yield MemoryCredentials()
        return
    with closing(open_database(f"sqlite:///{tmp_path}/journal.db")) as database:
        yield SqlCredentials(database)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def office(store: CredentialStore, clock: ManualClock) -> CredentialOffice:
    return make_office(store, clock, "a")


def make_office(store: CredentialStore, clock: ManualClock, name: str) -> CredentialOffice:
    tokens, ids = count(), count()
    return CredentialOffice(
        store=store,
        clock=clock,
        new_token=lambda: f"token-{name}-{next(tokens)}",
        new_id=lambda: f"line-{name}-{next(ids)}",
        required=True,
        life_s=LIFE_S,
    )


def granted(office: CredentialOffice, host: HostId = HOST) -> str:
    grant = office.grant(host, JOIN, "10.0.0.3")
    assert isinstance(grant, CredentialGrant)
    return grant.token


def test_a_credential_speaks_for_its_host_and_for_no_other(office: CredentialOffice) -> None:
    token = granted(office)
    assert office.check(HOST, token) == KnownHost()
    assert office.check(OTHER, token) == WrongHost()
    assert office.check(HOST, "made-up") == UnknownToken()
    assert office.check(HOST, hash_of(token)) == UnknownToken()  # what the database says is no token


def test_it_ends_when_its_life_is_over(office: CredentialOffice, clock: ManualClock) -> None:
    token = granted(office)
    clock.advance(LIFE_S - 1.0)
    assert office.check(HOST, token) == KnownHost()
    clock.advance(1.0)
    assert office.check(HOST, token) == UnknownToken()


def test_the_former_one_ends_when_the_new_one_is_first_shown(office: CredentialOffice) -> None:
    former = granted(office)
    assert office.check(HOST, former) == KnownHost()
    new = granted(office)
    assert office.check(HOST, former) == KnownHost()  # the answer may have got lost
    assert office.check(HOST, new) == KnownHost()
    assert office.check(HOST, former) == UnknownToken()


def test_the_former_one_ends_after_a_grace_though_the_new_one_is_never_shown(
    office: CredentialOffice, clock: ManualClock
) -> None:
    former = granted(office)
    granted(office)
    clock.advance(FORMER_GRACE_S + 1.0)
    assert office.check(HOST, former) == UnknownToken()


def test_an_older_credential_that_is_shown_late_ends_no_newer_one(office: CredentialOffice) -> None:
    first, second = granted(office), granted(office)
    assert office.check(HOST, first) == KnownHost()
    assert office.check(HOST, second) == KnownHost()
    assert office.check(HOST, first) == UnknownToken()


def test_lost_answers_do_not_pile_up(office: CredentialOffice, clock: ManualClock) -> None:
    tokens = [granted(office) for _ in range(PER_HOST_MAX + 3)]
    clock.advance(REMEMBER_S)
    alive = [token for token in reversed(tokens) if office.store.find_credential(hash_of(token))]
    assert alive == tokens[::-1][:PER_HOST_MAX]


def test_hosts_do_not_disturb_one_another(office: CredentialOffice) -> None:
    mine, theirs = granted(office), granted(office, OTHER)
    assert office.check(OTHER, theirs) == KnownHost()
    office.revoke(OTHER, "anna")
    assert office.check(HOST, mine) == KnownHost()


def test_a_revoked_host_is_out_at_once_and_stays_out_until_it_is_let_in(office: CredentialOffice) -> None:
    token = granted(office)
    assert office.check(HOST, token) == KnownHost()
    office.revoke(HOST, "anna")
    assert office.check(HOST, token) == UnknownToken()
    assert office.is_revoked(HOST)
    assert office.grant(HOST, JOIN, "10.0.0.3") == HostRevoked()
    office.readmit(HOST, "anna")
    assert not office.is_revoked(HOST)
    assert office.check(HOST, granted(office)) == KnownHost()
    assert office.check(HOST, token) == UnknownToken()


def test_another_controller_feels_it_within_seconds(store: CredentialStore, clock: ManualClock) -> None:
    here, there = make_office(store, clock, "a"), make_office(store, clock, "b")
    token = granted(here)
    assert there.check(HOST, token) == KnownHost()
    assert not there.is_revoked(HOST)
    here.revoke(HOST, "anna")
    clock.advance(REMEMBER_S)
    assert there.check(HOST, token) == UnknownToken()
    assert there.is_revoked(HOST)


def test_made_up_hosts_are_bounded(office: CredentialOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "HOSTS_MAX", 3)
    for number in range(3):
        granted(office, HostId(f"host-{number}"))
    assert office.grant(HostId("one-more"), JOIN, "") == CredentialLimit(hosts_max=3)
    granted(office, HostId("host-1"))  # those who are in may renew


def test_places_of_expired_hosts_are_free_again(
    office: CredentialOffice, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "HOSTS_MAX", 1)
    granted(office)
    clock.advance(LIFE_S + 1.0)
    granted(office, OTHER)
