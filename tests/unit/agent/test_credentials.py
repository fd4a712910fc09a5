"""Which token an agent shows: its own credential as long as it can, the join token when it must."""

import random
import stat

import pytest

from agent.degradation import Degradations
from agent.line.call import Failed, Reply
from agent.line.credentials import CREDENTIALS, JOIN_TOKEN, RENEW_AGAIN_S, Credentials
from agent.line.record import SyncFailure, failure_of_status
from agent.line.tokens import Credential, JoinToken, read_credential, write_credential
from agent.orders.desk import ControllerTime
from chassis.clock import ManualClock
from contracts.agent_api import CredentialGrant
from contracts.vocabulary import HostId

HOST, JOIN, LIFE_S = HostId("eu-west-a"), "join-secret", 86_400.0
REFUSED = {status: Failed(failure_of_status(status), f"{status}", status=status) for status in (401, 403, 404, 503)}
AWAY = Failed(SyncFailure.CONNECTION, "refused")


class Office:
    """A controller that grants, or says what it was told to say."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.answers: list[Failed | bytes] = []
        """Taken in order; then it grants."""
        self.shown: list[str] = []

    async def post(self, path, content, *, token, timeout_s):
        assert path == f"/api/v1/agents/{HOST}/credentials"
        self.shown.append(token)
        if self.answers:
            answer = self.answers.pop(0)
            return answer if isinstance(answer, Failed) else Reply(answer)
        now = self.clock.now_unix_s()
        grant = CredentialGrant(token=f"own-{len(self.shown)}", expires_unix_s=now + LIFE_S, server_unix_s=now)
        return Reply(grant.model_dump_json().encode())


class Rig:
    def __init__(self, path, join: JoinToken) -> None:
        self.clock = ManualClock()
        self.office = Office(self.clock)
        self.degradations = Degradations(lambda: None)
        self.path, self.join = path, join
        self.start()

    def start(self) -> None:
        """As the next process of this host."""
        self.credentials = Credentials(
            host=HOST,
            line=self.office,
            join=self.join,
            path=self.path,
            controller_time=ControllerTime(self.clock),
            degradations=self.degradations,
            rng=random.Random(1),
        )

    def degraded(self) -> list[str]:
        return [part.part for part in self.degradations.current()]


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path / "state" / "credential.json", JoinToken(JOIN))


async def test_it_joins_once_and_shows_its_own_token_from_then_on(rig):
    assert [await rig.credentials.token() for _ in range(3)] == ["own-1"] * 3
    assert rig.office.shown == [JOIN]


async def test_a_restart_goes_on_with_what_was_kept_readable_by_its_owner_alone(rig):
    await rig.credentials.token()
    assert stat.S_IMODE(rig.path.stat().st_mode) == 0o600
    rig.start()
    assert await rig.credentials.token() == "own-1"
    assert rig.office.shown == [JOIN]


async def test_it_renews_at_half_of_its_life_with_itself(rig):
    await rig.credentials.token()
    rig.clock.advance(LIFE_S * 0.44)
    assert await rig.credentials.token() == "own-1"
    rig.clock.advance(LIFE_S * 0.12)
    assert await rig.credentials.token() == "own-2"
    assert rig.office.shown == [JOIN, "own-1"]


async def test_hosts_that_joined_together_do_not_renew_together(tmp_path):
    moments = set()
    for seed in range(20):
        rig = Rig(tmp_path / f"{seed}.json", JoinToken(JOIN))
        rig.credentials.rng = random.Random(seed)
        await rig.credentials.token()
        moments.add(round(rig.credentials._renew_unix_s - rig.clock.now_unix_s()))
    assert len(moments) == 20
    assert max(moments) - min(moments) > 0.05 * LIFE_S


async def test_a_renewal_that_fails_is_repeated_seldom_and_the_former_token_shown_meanwhile(rig):
    await rig.credentials.token()
    rig.clock.advance(LIFE_S * 0.6)
    rig.office.answers = [AWAY, AWAY]
    assert [await rig.credentials.token() for _ in range(5)] == ["own-1"] * 5
    assert rig.office.shown == [JOIN, "own-1"]
    assert rig.degraded() == [CREDENTIALS]
    rig.clock.advance(RENEW_AGAIN_S * 1.5)
    await rig.credentials.token()
    rig.clock.advance(RENEW_AGAIN_S * 1.5)
    assert await rig.credentials.token() == "own-4"
    assert rig.degraded() == []


async def test_a_credential_that_expired_while_the_host_was_off_costs_one_join(rig):
    await rig.credentials.token()
    rig.clock.advance(LIFE_S * 2)
    rig.start()
    rig.office.answers = [REFUSED[401]]
    assert await rig.credentials.token() == "own-3"
    assert rig.office.shown == [JOIN, "own-1", JOIN]


async def test_a_wrong_clock_drops_no_credential_while_nobody_answers(tmp_path):
    rig = Rig(tmp_path / "credential.json", JoinToken())
    rig.clock.advance(30 * LIFE_S)
    write_credential(rig.path, Credential(HOST, "own", LIFE_S / 2, LIFE_S))  # good until long ago, says this clock
    rig.office.answers = [AWAY]
    assert await rig.credentials.token() == "own"
    assert await rig.credentials.token() == "own"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_credential_that_is_not_accepted_any_more_is_dropped(rig, status):
    await rig.credentials.token()
    rig.credentials.refused(REFUSED[status])
    assert await rig.credentials.token() == "own-2"
    assert rig.office.shown == [JOIN, JOIN]


async def test_a_controller_in_trouble_costs_no_credential(rig):
    await rig.credentials.token()
    rig.credentials.refused(REFUSED[503])
    rig.credentials.refused(AWAY)
    assert await rig.credentials.token() == "own-1"


async def test_a_join_that_is_refused_says_why(rig):
    rig.office.answers = [REFUSED[401]]
    assert await rig.credentials.token() == REFUSED[401]


async def test_a_controller_without_credentials_gets_the_join_token_until_it_wants_more(rig):
    rig.office.answers = [REFUSED[404]]
    assert [await rig.credentials.token() for _ in range(3)] == [JOIN] * 3
    assert len(rig.office.shown) == 1
    rig.credentials.refused(REFUSED[403])  # it was upgraded
    assert await rig.credentials.token() == "own-2"


async def test_without_any_token_none_is_shown_and_nobody_asked(tmp_path):
    rig = Rig(tmp_path / "credential.json", JoinToken())
    assert await rig.credentials.token() == ""
    assert rig.office.shown == []


async def test_an_answer_that_is_no_credential_is_a_failure(rig):
    rig.office.answers = [b"<html>"]
    assert (await rig.credentials.token()).why is SyncFailure.INVALID


async def test_a_disk_that_keeps_nothing_costs_a_join_per_start_and_says_so(rig, tmp_path):
    (tmp_path / "state").write_text("not a directory")
    assert await rig.credentials.token() == "own-1"
    assert rig.degraded() == [CREDENTIALS]
    rig.start()
    assert await rig.credentials.token() == "own-2"


@pytest.mark.parametrize("content", ["{", "[]", '{"host": "eu-west-a"}', '{"host": "eu-west-b", "token": "t"}'])
async def test_a_kept_credential_that_is_damaged_is_replaced(rig, content):
    rig.path.parent.mkdir()
    rig.path.write_text(content)
    assert await rig.credentials.token() == "own-1"


def test_a_cloned_disk_does_not_bring_another_hosts_credential(tmp_path):
    path = tmp_path / "credential.json"
    write_credential(path, Credential("eu-west-b", "theirs", 1.0, 2.0))
    assert read_credential(path, HOST) is None
    assert read_credential(path, "eu-west-b").token == "theirs"


def test_no_token_shows_in_a_representation():
    assert "hush" not in repr(Credential("h", "hush", 1.0, 2.0)) + repr(JoinToken("hush"))


async def test_a_rotated_join_token_is_used_without_a_restart(tmp_path):
    path = tmp_path / "join"
    path.write_text("first\n")
    rig = Rig(tmp_path / "credential.json", JoinToken(path=path))
    await rig.credentials.token()
    path.write_text("second, and longer\n")
    rig.credentials.refused(REFUSED[401])
    await rig.credentials.token()
    assert rig.office.shown == ["first", "second, and longer"]


async def test_a_join_token_that_cannot_be_read_is_said_and_tried_again(tmp_path):
    path = tmp_path / "join"
    rig = Rig(tmp_path / "credential.json", JoinToken(path=path))
    assert await rig.credentials.token() == ""
    assert rig.degraded() == [JOIN_TOKEN]
    path.write_text("here")
    assert await rig.credentials.token() == "own-1"
    assert rig.degraded() == []
