"""A voice matters more than its log: what cannot be written to starts all the same, and says so."""

import pytest


@pytest.mark.parametrize("bench", ["process"], indirect=True)
async def test_a_replica_starts_without_a_log_when_there_is_no_place_for_one(bench, tmp_path):
    said, replica = [], bench.spec.replica
    bench.runtime._logs.on_trouble = said.append
    (tmp_path / f"{replica}.log").write_text("the former incarnation\n")
    blocker = tmp_path / f"{replica}.log.1"
    blocker.mkdir()
    instance = await bench.runtime.start(bench.spec)
    assert await bench.runtime.running() == (instance,)
    assert "without a log" in said[-1]
    blocker.rmdir()
    await bench.runtime.restart(bench.spec, 0.0)
    assert said[-1] is None
    assert blocker.read_text() == "the former incarnation\n"


@pytest.mark.parametrize("bench", ["process with a spare"], indirect=True)
async def test_a_spare_whose_log_is_gone_does_not_get_the_identity(bench, tmp_path):
    spare = bench.runtime._spares[0]
    spare.log_path.unlink()
    instance = await bench.runtime.start(bench.spec)
    assert instance.token.split("-")[1] != str(spare.process.pid)
