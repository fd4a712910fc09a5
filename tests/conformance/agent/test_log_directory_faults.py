"""A log that cannot be moved refuses a start in words that callers understand, before any process has the identity."""

import pytest

from agent.errors import ReplicaRuntimeError


@pytest.mark.parametrize("bench", ["process", "process with a spare"], indirect=True)
async def test_a_log_that_cannot_be_rotated_refuses_the_start(bench, tmp_path):
    replica = bench.spec.replica
    (tmp_path / f"{replica}.log").write_text("the former incarnation\n")
    (tmp_path / f"{replica}.log.1").mkdir()
    with pytest.raises(ReplicaRuntimeError, match=replica):
        await bench.runtime.start(bench.spec)
    assert await bench.runtime.running() == ()


@pytest.mark.parametrize("bench", ["process with a spare"], indirect=True)
async def test_a_spare_whose_log_is_gone_does_not_get_the_identity(bench, tmp_path):
    spare = bench.runtime._spares[0]
    spare.log_path.unlink()
    instance = await bench.runtime.start(bench.spec)
    assert instance.token.split("-")[1] != str(spare.process.pid)
