"""The compiled file in a real Prometheus: it loads, every rule evaluates, and the recorded counts are the true ones."""

import dataclasses
import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import yaml

from contracts.metric_names import JOB_REPLICAS, RULE_EVENTS_BAD_INC1M, RULE_EVENTS_TOTAL_INC1M
from contracts.vocabulary import Region
from slo_rules.compiler import compile_slos
from slo_rules.load import default_paths, load_files
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile

pytestmark = pytest.mark.prometheus
REGIONS = (Region("eu-west"), Region("us-east"))


@pytest.fixture
def replica_port() -> Iterator[int]:
    """A replica that finishes three good requests and one bad between any two scrapes."""
    scrapes = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scrape = next(scrapes)
            good, bad = (f'slo_events_total{{slo="speech-latency",outcome="{name}"}}' for name in ("good", "bad"))
            body = f"{good} {3 * scrape}\n{bad} {scrape}\n".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def every_second(rule_file: RuleFile) -> RuleFile:
    """The same rules; a test cannot wait for minutes."""
    return RuleFile(tuple(dataclasses.replace(group, interval_s=1) for group in rule_file.groups))


def test_prometheus_loads_and_evaluates_the_shipped_rules(
    tmp_path, replica_port, free_port, start_program, answers, wait_until
):
    (tmp_path / "rules.yml").write_text(render_rules(every_second(compile_slos(load_files(default_paths()), REGIONS))))
    target = {"targets": [f"127.0.0.1:{replica_port}"], "labels": {"region": "eu-west", "replica": "eu-west-a-0"}}
    config = {
        "global": {"scrape_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": JOB_REPLICAS, "static_configs": [target]}],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    start_program(
        [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
    )
    wait_until(lambda: answers(f"{url}/-/ready"), within_s=20, what="Prometheus ready")

    def rules() -> list[dict]:
        groups = httpx.get(f"{url}/api/v1/rules", timeout=5).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def value(expression: str) -> float | None:
        found = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=5).json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    expected = sum(len(group.rules) for group in compile_slos(load_files(default_paths()), REGIONS).groups)
    wait_until(lambda: {rule["health"] for rule in rules()} == {"ok"}, within_s=20, what="every rule evaluated")
    assert len(rules()) == expected

    recorded = '{slo="speech-latency",region="eu-west"}'
    wait_until(lambda: value(RULE_EVENTS_TOTAL_INC1M + recorded) is not None, within_s=20, what="events recorded")
    ratio = f"{RULE_EVENTS_BAD_INC1M}{recorded} / {RULE_EVENTS_TOTAL_INC1M}{recorded}"
    assert value(ratio) == pytest.approx(0.25)
    assert value('ALERTS{alertname="SLONoData",region="us-east"}') == 1
    assert value('ALERTS{alertname="SLONoData",region="eu-west",alertstate="firing"}') is None
