"""Native histograms in a real Prometheus: counted, interpolated, stored by a recording rule, and silent without becoming NaN.

promtool 2.42 has no notation for them and the Python client does not expose them, so a replica here writes Prometheus'
protobuf by hand: a message is fields of (number, wire type), a histogram two spans of exponential buckets.
"""

import dataclasses
import itertools
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import yaml

from contracts.vocabulary import Region, SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import NativeHistogram
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile

pytestmark = pytest.mark.prometheus
EU = Region("eu-west")
SLOS = tuple(Slo(SloId(name), 0.95, NativeHistogram(f"{name}_seconds", 0.25)) for name in ("busy", "idle"))
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes((low | 0x80,)) + varint(rest) if rest else bytes((low,))


def signed(number: int) -> bytes:
    """Zigzag: 0, −1, 1, −2 as 0, 1, 2, 3."""
    return varint(2 * number if number >= 0 else -2 * number - 1)


def field(number: int, value: int | float | bytes, *, zigzag: bool = False) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3) + (signed(value) if zigzag else varint(value))


def family(name: str, within: int, beyond: int) -> bytes:
    """`within` requests of 0.125 to 0.25 s and `beyond` of 1 to 2 s, in buckets that double (schema 0)."""

    def span(offset: int) -> bytes:
        return field(12, field(1, offset, zigzag=True) + field(2, 1))

    histogram = (
        field(1, within + beyond)
        + field(2, 0.2 * within + 1.5 * beyond)
        + field(5, 0, zigzag=True)
        + field(6, 1e-128)
        + field(7, 0)
        + span(-2)
        + span(2)
        + field(13, within, zigzag=True)
        + field(13, beyond - within, zigzag=True)
    )
    text = field(1, name.encode()) + field(3, 4) + field(4, field(7, histogram))
    return varint(len(text)) + text


@pytest.fixture
def replica_port() -> Iterator[int]:
    """Between any two scrapes nine requests are within the threshold and one is beyond it; a second histogram stands still."""
    scrapes = itertools.count(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scrape = next(scrapes)
            body = family("busy_seconds", 9 * scrape, scrape) + family("idle_seconds", 9, 1)
            self.send_response(200)
            self.send_header("Content-Type", PROTOBUF)
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


def test_native_histograms_are_judged_by_prometheus(
    tmp_path, replica_port, free_port, start_program, answers, wait_until
):
    compiled = compile_slos(SLOS, (EU,))
    quick = RuleFile(tuple(dataclasses.replace(group, interval_s=1) for group in compiled.groups))
    (tmp_path / "rules.yml").write_text(render_rules(quick))
    target = {"targets": [f"127.0.0.1:{replica_port}"], "labels": {"region": EU}}
    config = {
        "global": {"scrape_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "others", "static_configs": [target]}],
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
            "--enable-feature=native-histograms",
        ]
    )
    wait_until(lambda: answers(f"{url}/-/ready"), within_s=20, what="Prometheus ready")

    def value(expression: str) -> float | None:
        found = httpx.get(f"{url}/api/v1/query", params={"query": expression}, timeout=5).json()["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def counts(slo: str) -> tuple[float | None, float | None]:
        return value(f'slo:events_total:inc1m{{slo="{slo}"}}'), value(f'slo:events_bad:inc1m{{slo="{slo}"}}')

    wait_until(lambda: counts("busy")[0], within_s=20, what="events recorded")
    assert value('slo:events_bad:inc1m{slo="busy"} / slo:events_total:inc1m{slo="busy"}') == pytest.approx(0.1)
    wait_until(lambda: counts("idle") == (0, 0), within_s=20, what="silence recorded as silence")
    wait_until(
        lambda: value('slo:latency:quantile{slo="busy",quantile="0.99"}') is not None, within_s=20, what="a quantile"
    )
    assert 1 <= value('slo:latency:quantile{slo="busy",quantile="0.99"}') <= 2
    assert value('slo:latency:quantile{slo="idle",quantile="0.99"}') is None
