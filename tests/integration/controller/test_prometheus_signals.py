"""The signal source against a real Prometheus that scrapes two small exporters."""

import asyncio
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chassis.clock import SystemClock
from controller.ports import ReplicaCounters, SignalSample, SourceDown
from controller.sources.prometheus import PrometheusSignals

pytestmark = pytest.mark.prometheus


class Exporter:
    """A replica's /metrics, with counters that a test can set."""

    def __init__(self) -> None:
        self.text = ""
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = exporter.text.encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def count(self, good: int, bad: int) -> None:
        self.text = "\n".join(
            (
                f'slo_events_total{{slo="fast",outcome="good"}} {good}',
                f'slo_events_total{{slo="fast",outcome="bad"}} {bad}',
                f"tts_admitted_total {good + bad}",
                'tts_rejected_total{reason="overload"} 4',
                'tts_service_seconds_total{stage="vocoder"} 1.5',
                "",
            )
        )

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class PrometheusRig:
    url: str
    exporters: dict[str, Exporter] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None


@pytest.fixture
def rig(
    tmp_path: Path,
    free_port: Callable[..., int],
    start_program: Callable[..., subprocess.Popen[bytes]],
    wait_until: Callable[..., None],
    answers: Callable[[str], bool],
) -> Iterator[PrometheusRig]:
    exporters = {"eu-west-a-0": Exporter(), "eu-west-a-1": Exporter()}
    targets = [
        {"targets": [exporter.target], "labels": {"region": "eu-west", "host": "eu-west-a", "replica": name}}
        for name, exporter in exporters.items()
    ]
    (tmp_path / "targets.json").write_text(json.dumps(targets))
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"""
global: {{scrape_interval: 1s, scrape_timeout: 500ms}}
scrape_configs:
- job_name: tts
  file_sd_configs: [{{files: ['{tmp_path}/targets.json']}}]
"""
    )
    port = free_port()
    for exporter in exporters.values():
        exporter.count(7, 1)
    flags = (
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    process = start_program(["prometheus", *flags, "--log.level=warn"])
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/-/ready"), within_s=20, what="Prometheus is ready")
    yield PrometheusRig(url=url, exporters=exporters, process=process)
    for exporter in exporters.values():
        exporter.stop()


@pytest.fixture
def signals(rig: PrometheusRig) -> Iterator[PrometheusSignals]:
    source = PrometheusSignals(url=rig.url, clock=SystemClock())
    yield source
    source.close()


async def sample_until(
    signals: PrometheusSignals, is_so: Callable[[SignalSample], bool], within_s: float = 15.0
) -> SignalSample:
    async with asyncio.timeout(within_s):
        while True:
            sample = await signals.sample()
            if isinstance(sample, SignalSample) and is_so(sample):
                return sample
            await asyncio.sleep(0.1)


def of(sample: SignalSample, replica: str) -> ReplicaCounters:
    return next(counters for counters in sample.replicas if counters.replica == replica)


async def test_counters_carry_the_time_of_their_own_scrape(signals: PrometheusSignals) -> None:
    sample = await sample_until(signals, lambda s: len(s.replicas) == 2 and s.scraped_ok == 2)
    found = of(sample, "eu-west-a-0")
    assert (found.region, found.admitted, found.rejected_overload, found.service_s) == ("eu-west", 8.0, 4.0, 1.5)
    assert [(slo.slo, slo.good, slo.bad) for slo in found.slos] == [("fast", 7.0, 1.0)]
    assert 0 <= time.time() - found.sampled_unix_s < 10
    assert found.sampled_unix_s != sample.at_unix_s, "an instant would carry the time of the question"


async def test_new_events_arrive_with_the_next_scrape(rig: PrometheusRig, signals: PrometheusSignals) -> None:
    await sample_until(signals, lambda s: len(s.replicas) == 2)
    rig.exporters["eu-west-a-1"].count(100, 20)
    sample = await sample_until(signals, lambda s: of(s, "eu-west-a-1").admitted == 120.0)
    assert of(sample, "eu-west-a-0").admitted == 8.0


async def test_a_replica_that_stops_answering_gets_old_and_lowers_the_coverage(
    rig: PrometheusRig, signals: PrometheusSignals
) -> None:
    await sample_until(signals, lambda s: len(s.replicas) == 2 and s.scraped_ok == 2)
    rig.exporters["eu-west-a-1"].stop()
    sample = await sample_until(signals, lambda s: s.scraped_ok == 1)
    assert sample.scraped_expected == 2
    await asyncio.sleep(2.0)
    later = await sample_until(signals, lambda s: True)
    assert of(later, "eu-west-a-1").sampled_unix_s <= of(sample, "eu-west-a-1").sampled_unix_s
    assert of(later, "eu-west-a-0").sampled_unix_s > of(sample, "eu-west-a-0").sampled_unix_s


async def test_a_prometheus_that_is_gone_is_a_value(rig: PrometheusRig, signals: PrometheusSignals) -> None:
    assert rig.process is not None
    rig.process.kill()
    rig.process.wait(timeout=5)
    down = await signals.sample()
    assert isinstance(down, SourceDown)
    assert "could not be asked" in down.reason


async def test_a_prometheus_that_hangs_is_a_value_in_time_and_is_not_asked_twice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody ever answers
        signals = PrometheusSignals(
            url=f"http://127.0.0.1:{silent.getsockname()[1]}", clock=SystemClock(), timeout_s=0.3
        )
        start = time.monotonic()
        first, second = await signals.sample(), await signals.sample()
        assert isinstance(first, SourceDown)
        assert isinstance(second, SourceDown)
        assert time.monotonic() - start < 5  # both waits, and not the default of many seconds
        signals.close()
