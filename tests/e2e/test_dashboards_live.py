"""No panel is empty: every query of every dashboard, asked of a real Prometheus that scrapes the real fleet.

The stack's rules look at minutes and hours, so a second Prometheus scrapes the same targets and evaluates the same rules
every second. Nothing else is changed, and nothing is allowed to be empty: what is well must be a zero, not a hole.
"""

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from agent.simulated_gpus.directory import open_directory
from agent.simulated_gpus.state import SimulatedProcess
from chassis.clock import SystemClock
from contracts.dashboards import DashboardUid
from grafana.__main__ import main
from grafana.catalog import dashboards
from grafana.pictures.page import WIDTH, page
from grafana.pictures.scene import Scene, look_at
from grafana.pictures.source import PrometheusSource
from tests.e2e.embedded import EAST, PORT_OFFSET, WEST, Trimtab
from tests.integration.controller.prometheus_server import prometheus
from trimtab.stack.settings import Layout, RegionLayout, StackSettings

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.redis, pytest.mark.prometheus, pytest.mark.alertmanager, pytest.mark.compiler, pytest.mark.timeout(240)]  # fmt: skip
PROMISE = """
apiVersion: openslo/v1
kind: SLO
metadata:
  name: heard-in-time
  annotations:
    trimtab/sli: total
    trimtab/threshold: 5s
spec:
  service: speech
  budgetingMethod: Occurrences
  timeWindow:
    - duration: 30d
      isRolling: true
  objectives:
    - target: 0.95
"""
RANGE_S = 120
TRIES_MAX, TRY_EVERY_S = 40, 1.5
"""A minute: scrapes come every two seconds, rules every one."""


@pytest.fixture(scope="module")
def promised(stack: Trimtab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An objective that healthy replicas keep."""
    document = tmp_path_factory.mktemp("slo") / "heard.yaml"
    document.write_text(PROMISE)
    applied = stack("slo", "apply", str(document))
    assert applied.returncode == 0, applied.stderr
    yield
    stack("slo", "delete", "heard-in-time")


@pytest.fixture(scope="module")
def occupied(stack: Trimtab) -> None:
    """The replicas' own processes on the simulated GPUs, so that agents see who uses which."""
    settings = StackSettings(home=stack.home, voice_dir=stack.voice_dir, port_offset=PORT_OFFSET)
    listeners = {
        (each.laddr.ip, each.laddr.port): each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    layout = Layout(settings)
    for region in layout.regions:
        host = open_directory(layout.gpus_dir(region.host))
        for slot in range(settings.replicas):
            host.run_processes(slot, [SimulatedProcess(_process_of(region, slot, listeners), 3 << 30)])


def _process_of(region: RegionLayout, slot: int, listeners: dict[tuple[str, int], int | None]) -> int:
    replica = region.replica(slot)
    pid = listeners[(replica.address, replica.port)]
    assert pid is not None
    return pid


@pytest.fixture(scope="module")
def prometheus_url(
    stack: Trimtab, promised: None, occupied: None, ports: Iterator[int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    home = tmp_path_factory.mktemp("watching")
    rules = yaml.safe_load((stack.home / "rules" / "slo.yml").read_text())
    for group in rules["groups"]:
        group["interval"] = "1s"
    (home / "rules.yml").write_text(yaml.safe_dump(rules))
    config = yaml.safe_load((stack.home / "prometheus" / "prometheus.yml").read_text())
    config |= {"rule_files": [str(home / "rules.yml")], "alerting": {}}
    with prometheus(home, next(ports), yaml.safe_dump(config)) as server:
        yield server.url


@pytest.fixture(scope="module")
def scenes(prometheus_url: str) -> dict[DashboardUid, Scene]:
    """Every dashboard, once rules have been recorded and rates have two samples; or as it is when that takes too long."""
    scenes: dict[DashboardUid, Scene] = {}

    def look() -> bool:
        with PrometheusSource(prometheus_url) as source:
            for dashboard in dashboards():
                if dashboard.uid not in scenes or holes(scenes[dashboard.uid]):
                    now_s = SystemClock().now_unix_s()
                    scenes[dashboard.uid] = look_at(dashboard, source, until_s=now_s, range_s=RANGE_S)
        return not any(holes(scene) for scene in scenes.values())

    for attempt in range(TRIES_MAX):
        speak(attempt)  # again and again: a counter that was counted before its first scrape has no rate
        if look():
            break
        time.sleep(TRY_EVERY_S)
    return scenes


def speak(number: int) -> None:
    """One request per region, every second one as before: so there are hits of the cache, too."""
    for gateway in (WEST, EAST):
        text = f"The keys are at desk {number // 2}."
        httpx.post(f"{gateway}/tts", json={"text": text}, timeout=20, trust_env=False).raise_for_status()


def holes(scene: Scene) -> list[str]:
    """Queries without an answer, and variables without a value."""
    silent = [
        f"{seen.panel.title}: {query.expr}"
        for seen in scene.seen
        for query, lines in zip(seen.panel.queries, seen.lines, strict=True)
        if not lines
    ]
    return [*silent, *(f"${label} has no value" for label, values in scene.choices.values.items() if not values)]


@pytest.mark.parametrize("uid", DashboardUid)
def test_no_query_of_any_panel_is_empty(scenes: dict[DashboardUid, Scene], uid: DashboardUid) -> None:
    assert holes(scenes[uid]) == []


@pytest.mark.parametrize("uid", DashboardUid)
def test_the_page_is_drawn_from_live_data(scenes: dict[DashboardUid, Scene], uid: DashboardUid) -> None:
    drawn = page(scenes[uid])
    assert ">no data<" not in drawn
    assert all(seen.panel.title.split("$")[0] in drawn for seen in scenes[uid].seen)


def test_every_tier_of_the_promise_has_its_own_picture(scenes: dict[DashboardUid, Scene]) -> None:
    titles = [seen.panel.title for seen in scenes[DashboardUid.SLO].seen]
    assert [title for title in titles if "over 10m" in title or "over 3d" in title] == [
        "Bad events over 10m",
        "Bad events over 3d",
    ]


def test_a_replica_is_shown_with_its_own_gpu_and_no_other(scenes: dict[DashboardUid, Scene]) -> None:
    temperature = next(seen for seen in scenes[DashboardUid.REPLICA].seen if seen.panel.title == "Temperature")
    assert [line.name for line in temperature.lines[0]] == ["eu-west-a GPU 0"]


@pytest.mark.browser
def test_a_dashboard_becomes_a_png(prometheus_url: str, tmp_path: Path) -> None:
    argv = ["draw", "--prometheus", prometheus_url, "--output", str(tmp_path), "--dashboard", "trimtab-fleet"]
    assert main([*argv, "--range-s", str(RANGE_S)]) == 0
    png = (tmp_path / "fleet.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert width == WIDTH
    assert height > WIDTH / 3
    assert len(png) > 20_000, "a white page is smaller"
