"""A file that holds no token says so, instead of ending the sync or being told as a broken connection."""

import pytest

from agent.line.call import ControllerLine, Failed
from agent.line.record import SyncFailure


@pytest.mark.parametrize("token", ["tökén", "first\nsecond", "two words", "nul\0"])
async def test_a_token_that_no_header_can_carry_is_not_sent(token, free_port):
    line = ControllerLine(f"http://127.0.0.1:{free_port()}")
    answer = await line.post("/", "", token=token, timeout_s=5.0)
    await line.aclose()
    assert isinstance(answer, Failed)
    assert (answer.why, token in answer.detail) == (SyncFailure.UNAUTHORIZED, False)
