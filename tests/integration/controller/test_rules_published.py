"""The rule publisher against a real Prometheus: what is written is what is evaluated, and a bad file never takes the good one down."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from chassis.clock import SystemClock
from controller.drivers import prometheus_rules
from controller.drivers.prometheus_rules import PrometheusRules
from controller.drivers.rule_stamp import digest_of, stamped
from controller.rules_ports import RulesPublished, RulesRefused, RulesSeen, RulesUnknown
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.render import render_rules
from tests.integration.controller.prometheus_server import Server, prometheus

pytestmark = pytest.mark.prometheus


def rules_of(objective: float) -> str:
    slo = Slo(id="fast", objective=objective, indicator=ExactCounters(0.2))
    return render_rules(compile_slos((slo,), ("eu-west",)))


GOOD, BETTER = rules_of(0.95), rules_of(0.96)
BAD = "groups:\n- name: broken\n  rules:\n  - record: x\n    expr: 'sum('\n"
SICK = """groups:
- name: sick
  interval: 1s
  rules:
  - record: sick
    expr: vector(1) * on () group_left () (label_replace(vector(1), "a", "1", "", "") or label_replace(vector(1), "a", "2", "", ""))
"""
"""Parses, and fails at every evaluation: many-to-many matching."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, ports: Iterator[int]) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("prometheus")
    config = f"global: {{scrape_interval: 1m}}\nrule_files: ['{home}/rules/*.yml', '{home}/disk/*.yml']\n"
    with prometheus(home, next(ports), config) as running:
        yield running


@pytest.fixture
def path(server: Server) -> Iterator[Path]:
    """Where rules go; every test begins with none."""
    folder = server.home / "rules"
    yield folder / "slo.yml"
    for file in folder.glob("*") if folder.exists() else ():
        file.unlink()
    for file in folder.glob(".*") if folder.exists() else ():
        file.unlink()
    httpx.post(f"{server.url}/-/reload", timeout=10)


@pytest.fixture
async def publisher(server: Server, path: Path) -> AsyncIterator[PrometheusRules]:
    async with httpx.AsyncClient() as client:
        yield PrometheusRules(url=server.url, path=path, client=client, clock=SystemClock())


def text_in(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def written_at(path: Path) -> int:
    return path.stat().st_mtime_ns


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def groups(server: Server) -> set[str]:
    return {group["name"] for group in server.get("rules")["data"]["groups"]}


def reload(server: Server) -> None:
    httpx.post(f"{server.url}/-/reload", timeout=10)


def told_by(rules: str) -> str:
    """A part of Prometheus' own answer by which two texts can be told apart."""
    return "95" if rules is GOOD else "96"


def shows(server: Server, rules: str) -> bool:
    return f"wanted: {told_by(rules)} %" in httpx.get(f"{server.url}/api/v1/rules", timeout=10).text


async def test_compiled_rules_are_loaded_and_seen(server: Server, publisher: PrometheusRules, path: Path) -> None:
    outcome = await publisher.publish(GOOD, 7)
    assert outcome == RulesPublished(digest=digest_of(GOOD, 7))
    assert "slo-fast" in groups(server)
    first = written_at(path)
    assert await publisher.publish(GOOD, 7) == outcome
    assert written_at(path) == first, "nothing changed, so nothing is written"
    seen = await publisher.look()
    assert isinstance(seen, RulesSeen)
    assert (seen.digest, seen.revision, seen.unhealthy) == (outcome.digest, 7, ())


async def test_a_change_that_keeps_every_count_is_still_a_change(
    server: Server, publisher: PrometheusRules, path: Path
) -> None:
    """A process that ended between writing and reloading left the new file beside the old rules."""
    await publisher.publish(GOOD, 1)
    write(path, stamped(BETTER, 2))
    assert isinstance(await publisher.publish(BETTER, 2), RulesPublished)
    assert shows(server, BETTER)
    assert not shows(server, GOOD)


async def test_refused_rules_are_rolled_back_and_the_former_ones_are_still_evaluated(
    server: Server, publisher: PrometheusRules, path: Path
) -> None:
    await publisher.publish(GOOD, 1)
    outcome = await publisher.publish(BAD, 2)
    assert isinstance(outcome, RulesRefused)
    assert text_in(path) == stamped(GOOD, 1)
    assert shows(server, GOOD)
    seen = await publisher.look()
    assert isinstance(seen, RulesSeen)
    assert seen.revision == 1


async def test_a_refused_file_that_a_crash_left_behind_does_not_stay(
    server: Server, publisher: PrometheusRules, path: Path
) -> None:
    await publisher.publish(GOOD, 1)
    write(path, stamped(BAD, 2))  # written, and then the process ended
    assert isinstance(await publisher.publish(BAD, 2), RulesRefused)
    assert text_in(path) == stamped(GOOD, 1)
    server.stop()
    server.start()
    assert shows(server, GOOD), "Prometheus starts again with what is on the disk"


async def test_the_first_file_when_refused_leaves_none(publisher: PrometheusRules, path: Path) -> None:
    assert isinstance(await publisher.publish(BAD, 1), RulesRefused)
    assert names_in(path.parent) == []


async def test_somebody_elses_broken_configuration_is_not_our_refusal(
    server: Server, publisher: PrometheusRules, path: Path
) -> None:
    await publisher.publish(GOOD, 1)
    theirs = path.with_name("theirs.yml")
    theirs.write_text(BAD)
    outcome = await publisher.publish(BETTER, 2)
    assert isinstance(outcome, RulesUnknown)
    assert "with or without" in outcome.reason
    assert shows(server, GOOD)
    theirs.unlink()
    assert isinstance(await publisher.publish(BETTER, 2), RulesPublished)


async def test_rules_that_prometheus_once_took_stay_on_the_disk_while_something_else_is_broken(
    server: Server, publisher: PrometheusRules, path: Path
) -> None:
    """Prometheus came back without them, and takes no configuration because of somebody else's."""
    await publisher.publish(GOOD, 1)
    write(path, "groups: []")
    reload(server)
    write(path, stamped(GOOD, 1))
    theirs = path.with_name("theirs.yml")
    theirs.write_text(BAD)
    assert isinstance(await publisher.publish(GOOD, 1), RulesUnknown)
    assert text_in(path) == stamped(GOOD, 1)
    theirs.unlink()


async def test_a_prometheus_that_drips_its_answer_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus_rules, "PUBLISHED_S_MAX", 0.5)
    monkeypatch.setattr(prometheus_rules, "TIMEOUT_S", 0.4)

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=drip()))
    async with httpx.AsyncClient(transport=transport) as client:
        publisher = PrometheusRules(url="http://slow", path=tmp_path / "slo.yml", client=client, clock=SystemClock())
        async with asyncio.timeout(20):
            assert isinstance(await publisher.look(), RulesUnknown)
            assert isinstance(await publisher.publish(GOOD, 1), RulesUnknown)


async def test_without_prometheus_the_file_waits_for_it(server: Server, publisher: PrometheusRules, path: Path) -> None:
    server.stop()
    try:
        assert isinstance(await publisher.publish(GOOD, 1), RulesUnknown)
        assert isinstance(await publisher.look(), RulesUnknown)
        assert text_in(path) == stamped(GOOD, 1)
    finally:
        server.start()
    assert isinstance(await publisher.publish(GOOD, 1), RulesPublished)
    assert shows(server, GOOD)


async def test_a_file_that_prometheus_does_not_read_is_found_out(server: Server, tmp_path: Path) -> None:
    async with httpx.AsyncClient() as client:
        stray = PrometheusRules(url=server.url, path=tmp_path / "stray.yml", client=client, clock=SystemClock())
        outcome = await stray.publish(GOOD, 1)
    assert isinstance(outcome, RulesUnknown)
    assert "rule_files" in outcome.reason


async def test_a_place_that_takes_no_file_is_a_value(server: Server, tmp_path: Path) -> None:
    in_the_way = tmp_path / "rules"
    in_the_way.write_text("a file where the directory should be")
    async with httpx.AsyncClient() as client:
        blocked = PrometheusRules(url=server.url, path=in_the_way / "slo.yml", client=client, clock=SystemClock())
        outcome = await blocked.publish(GOOD, 1)
    assert isinstance(outcome, RulesUnknown)
    assert "writing" in outcome.reason


@pytest.fixture
def small_disk(server: Server) -> Iterator[Path]:
    """A file system of a megabyte, below what Prometheus reads."""
    place = server.home / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.root
async def test_a_full_disk_leaves_the_former_rules_and_no_half_file(server: Server, small_disk: Path) -> None:
    path = small_disk / "slo.yml"
    async with httpx.AsyncClient() as client:
        publisher = PrometheusRules(url=server.url, path=path, client=client, clock=SystemClock())
        assert isinstance(await publisher.publish(GOOD, 1), RulesPublished)
        with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while filler.write(b"x" * 4_096):
                pass
        before = names_in(small_disk)
        outcome = await publisher.publish(BETTER, 2)
        assert isinstance(outcome, RulesUnknown)
        assert "No space left" in outcome.reason
        assert text_in(path) == stamped(GOOD, 1)
        assert names_in(small_disk) == before
        assert shows(server, GOOD)
        (small_disk / "filler").unlink()
        assert isinstance(await publisher.publish(BETTER, 2), RulesPublished)


async def test_rules_that_load_and_fail_are_seen(publisher: PrometheusRules, wait_until_async, server: Server) -> None:
    assert isinstance(await publisher.publish(SICK, 3), RulesPublished)

    def evaluated() -> bool:
        rules = [rule for group in server.get("rules")["data"]["groups"] for rule in group["rules"]]
        return any(rule["health"] == "err" for rule in rules)

    await wait_until_async(evaluated, within_s=15, what="the rule was evaluated")
    seen = await publisher.look()
    assert isinstance(seen, RulesSeen)
    assert [(rule.group, rule.rule) for rule in seen.unhealthy] == [("sick", "sick")]
    assert "many-to-many" in seen.unhealthy[0].error
