"""What the agent cannot do is said once, everywhere, until it can again."""

import json
import random

import pytest

from agent.app import BOOTED, build_agent
from agent.degradation import REASON_CHARS_MAX, Degradations
from agent.settings import AgentSettings
from chassis.clock import ManualClock
from contracts.agent_api import Degradation


@pytest.fixture
def agent(tmp_path):
    settings = AgentSettings(host_id="h", region="eu", controller_url="http://127.0.0.1:1", state_dir=tmp_path)
    made = build_agent(settings, clock=ManualClock(), rng=random.Random(1), environment={})
    yield made
    made.journal.close()


def test_only_a_change_rings():
    rings = []
    degradations = Degradations(lambda: rings.append(degradations.current()))
    degradations.set("journal", "disk full")
    degradations.set("journal", "disk full")
    degradations.clear("runtime")
    degradations.set("journal", "read-only")
    degradations.clear("journal")
    degradations.clear("journal")
    assert rings == [
        (Degradation(part="journal", reason="disk full"),),
        (Degradation(part="journal", reason="read-only"),),
        (),
    ]


def test_a_reason_is_bounded_and_still_said_once():
    rings = []
    degradations = Degradations(lambda: rings.append(1))
    degradations.set("nvml", "x" * 10_000)
    degradations.set("nvml", "x" * 10_000)
    assert (len(rings), len(degradations.current()[0].reason)) == (1, REASON_CHARS_MAX)


def test_a_degraded_agent_is_ready_and_says_so_in_its_report_too(agent):
    agent.readiness.hold(BOOTED)
    agent.degradations.set("runtime", "no Docker engine answers")
    page = agent.pages._routes["/readyz"]()
    assert page.status == 200
    assert json.loads(page.body)["degraded"] == {"runtime": "no Docker engine answers"}
    report = agent.sync.reporter.report()
    assert report.degraded == (Degradation(part="runtime", reason="no Docker engine answers"),)
