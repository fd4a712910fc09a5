"""Compiled rules in three real Prometheus servers: a pair that scrapes the same replica, and one that sees through both.

The numbers are the true ones, the pair agrees on them, what both report counts once, and a file of rules that Prometheus
refuses takes none of the running ones down.
"""

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml

from contracts.metric_names import JOB_REPLICAS, RULE_BUDGET_REMAINING, RULE_EVENTS_BAD_INC1M, RULE_EVENTS_TOTAL_INC1M
from contracts.vocabulary import Region, SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile, RuleGroup
from slo_rules.rules.raw_events import HA_LABELS
from slo_rules.windows import RollingWindow

pytestmark = pytest.mark.prometheus
EU, US = Region("eu-west"), Region("us-east")
SLO = Slo(SloId("speech"), 0.5, ExactCounters(0.2), RollingWindow(3_600))
BAD_PER_SCRAPE, GOOD_PER_SCRAPE = 1, 3
WHERE = f'{{slo="{SLO.id}",region="{EU}"}}'
PAIR_LABEL = HA_LABELS[-1]


@dataclass(frozen=True)
class Server:
    """A running Prometheus."""

    url: str
    folder: Path

    def value(self, expression: str) -> float | None:
        found = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=5).json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def rules(self) -> list[dict]:
        groups = httpx.get(f"{self.url}/api/v1/rules", timeout=5).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def reload(self) -> httpx.Response:
        return httpx.post(f"{self.url}/-/reload", timeout=20)


@pytest.fixture
def replica_port() -> Iterator[int]:
    """A replica that finishes the same few requests between any two scrapes."""
    scrapes = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scrape = next(scrapes)
            counts = {"good": GOOD_PER_SCRAPE * scrape, "bad": BAD_PER_SCRAPE * scrape}
            lines = [f'slo_events_total{{slo="{SLO.id}",outcome="{name}"}} {n}\n' for name, n in counts.items()]
            body = "".join(lines).encode()
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


def hurried(group: RuleGroup) -> RuleGroup:
    """Evaluated every second; sums of four minutes are recorded every four seconds."""
    rules = tuple(
        dataclasses.replace(rule, expr=rule.expr.replace("time()) / 60)", "time()))")) for rule in group.rules
    )
    return dataclasses.replace(group, interval_s=1, rules=rules)


@pytest.fixture
def prometheus(tmp_path, free_port, start_program, answers, wait_until) -> Callable[..., Server]:
    """Start one with the compiled rules and these scrape jobs; a second is a minute for the rules."""
    rules = RuleFile(tuple(map(hurried, compile_slos((SLO,), (EU, US)).groups)))

    def start(name: str, *jobs: dict) -> Server:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "rules.yml").write_text(render_rules(rules))
        general = {"scrape_interval": "1s", "external_labels": {PAIR_LABEL: name}}
        config = {"global": general, "rule_files": ["rules.yml"], "scrape_configs": list(jobs)}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        port = free_port()
        options = {
            "config.file": folder / "prometheus.yml",
            "storage.tsdb.path": folder / "tsdb",
            "web.listen-address": f"127.0.0.1:{port}",
        }
        flags = [f"--{option}={value}" for option, value in options.items()]
        start_program(["prometheus", *flags, "--web.enable-lifecycle"], name=name)
        server = Server(f"http://127.0.0.1:{port}", folder)
        wait_until(lambda: answers(f"{server.url}/-/ready"), within_s=30, what=f"Prometheus {name} ready")
        return server

    return start


def of_replica(port: int) -> dict:
    target = {"targets": [f"127.0.0.1:{port}"], "labels": {"region": EU, "replica": "eu-west-a-0"}}
    return {"job_name": JOB_REPLICAS, "static_configs": [target]}


def of_pair(*servers: Server) -> dict:
    """Federation, with the external label that tells the pair's samples apart."""
    targets = [server.url.removeprefix("http://") for server in servers]
    return {
        "job_name": "pair",
        "honor_labels": True,
        "metrics_path": "/federate",
        "params": {"match[]": ["slo_events_total"]},
        "static_configs": [{"targets": targets}],
    }


def test_a_pair_of_servers_agrees_with_the_truth_and_counts_once(replica_port, prometheus, wait_until):
    pair = [prometheus(name, of_replica(replica_port)) for name in ("a", "b")]
    above = prometheus("above", of_pair(*pair))
    total = RULE_EVENTS_TOTAL_INC1M + WHERE
    ratio = f"{RULE_EVENTS_BAD_INC1M}{WHERE} / {total}"
    for server in (*pair, above):
        budget = RULE_BUDGET_REMAINING + WHERE
        wait_until(lambda at=server, of=budget: at.value(of) is not None, within_s=40, what="a budget")
        bad_share = BAD_PER_SCRAPE / (BAD_PER_SCRAPE + GOOD_PER_SCRAPE)
        assert server.value(ratio) == pytest.approx(bad_share, rel=0.01)
        assert server.value(budget) == pytest.approx(1 - bad_share / 0.5, abs=0.01)
        assert server.value(f'slo:state{{slo="{SLO.id}",region="{EU}",state="ok"}}') == 1
        assert server.value(f'slo:state{{slo="{SLO.id}",region="{US}",state="no_data"}}') == 1
    assert above.value("count(slo_events_total)") == 2 * pair[0].value("count(slo_events_total)")

    def counted_once() -> bool:
        seen = [server.value(total) or 0.0 for server in (*pair, above)]
        return all(0.6 < one / seen[0] < 1.5 for one in seen[1:])  # twice would be 2

    wait_until(counted_once, within_s=30, what="the same count seen through both as through one")


def test_a_refused_rule_file_leaves_the_running_rules_at_work(replica_port, prometheus, wait_until):
    server = prometheus("a", of_replica(replica_port))
    wait_until(lambda: {rule["health"] for rule in server.rules()} == {"ok"}, within_s=40, what="every rule evaluated")
    expressions = [rule["query"] for rule in server.rules()]
    path = server.folder / "rules.yml"
    good = path.read_text()
    for broken in (
        good.replace("sum by (", "sum bye ("),
        good + "\n- not: rules\n",
        "groups: [{name: x, rules: [{}]}]",
    ):
        assert broken != good
        path.write_text(broken)
        assert server.reload().status_code == 500
        assert [rule["query"] for rule in server.rules()] == expressions
    latest = max(rule["lastEvaluation"] for rule in server.rules())
    wait_until(
        lambda: min(rule["lastEvaluation"] for rule in server.rules()) > latest,
        within_s=30,
        what="the old rules evaluated again",
    )
    assert {rule["health"] for rule in server.rules()} == {"ok"}
    path.write_text(good)
    assert server.reload().status_code == 200
