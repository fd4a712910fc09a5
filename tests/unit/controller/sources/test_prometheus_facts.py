"""Questions to a Prometheus that answers too much, and to one that keeps everybody waiting."""

import asyncio
from contextlib import suppress

import httpx
import pytest

from chassis.clock import ManualClock
from controller import admission_office
from controller.admission.facts import Line, NoAnswer, Row, ServerFacts
from controller.admission.report import Asked
from controller.admission_office import AdmissionOffice
from controller.sources import prometheus_facts
from controller.sources.prometheus_facts import PrometheusFacts
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

FAST = Slo("fast", 0.95, ExactCounters(0.2))


def answer(request: httpx.Request) -> httpx.Response:
    """Two regions of three minutes, whatever was asked."""
    rows = [{"metric": {"region": region}, "values": [[60 * n, "1"] for n in range(3)]} for region in ("a", "b")]
    return httpx.Response(200, json={"status": "success", "data": {"result": rows}})


@pytest.mark.parametrize(("held_max", "fits"), [(6, True), (5, False)])
async def test_a_past_with_too_many_points_is_given_up(
    monkeypatch: pytest.MonkeyPatch, *, held_max: int, fits: bool
) -> None:
    monkeypatch.setattr(prometheus_facts, "POINTS_HELD_MAX", held_max)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        found = await PrometheusFacts(url="http://prometheus", client=client).minutes("x", 0, 120)
    if fits:
        assert isinstance(found, tuple)
        assert [len(line.points) for line in found] == [3, 3]
    else:
        assert isinstance(found, NoAnswer)
        assert "fewer days" in found.reason


class Silence:
    """Answers nothing, ever."""

    async def server(self) -> ServerFacts | NoAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    async def metric_type(self, metric: str) -> str | NoAnswer:
        raise AssertionError(metric)

    async def instant(self, query: str) -> tuple[Row, ...] | NoAnswer:
        raise AssertionError(query)

    async def minutes(self, query: str, starts_unix_s: int, ends_unix_s: int) -> tuple[Line, ...] | NoAnswer:
        raise AssertionError((query, starts_unix_s, ends_unix_s))


async def test_whoever_waits_behind_others_is_told_so_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line waits for little more than `EXAMINED_S_MAX` per objective, whoever else asks."""
    office = AdmissionOffice(facts=Silence(), regions=lambda: (), clock=ManualClock())
    first = asyncio.ensure_future(office.examine(Asked(FAST, (FAST,), 1)))
    await asyncio.sleep(0.05)  # it has the floor, and keeps it for a minute
    monkeypatch.setattr(admission_office, "EXAMINED_S_MAX", 0.1)
    async with asyncio.timeout(10):
        report = await office.examine(Asked(FAST, (FAST,), 1))
    assert [finding.code for finding in report.findings] == ["prometheus_silent"]
    assert "others" in report.findings[0].problem
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
