"""Scrapes as Prometheus sends them, and what a page says."""

import gzip
import http.client
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

PROMETHEUS_HEADERS = {
    "User-Agent": "Prometheus/2.55.0",
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
TIMEOUT_S = 3.0
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Scrape:
    took_s: float
    wire_bytes: int
    text: str
    """Empty when no answer came."""

    @property
    def answered(self) -> bool:
        return bool(self.text)

    @property
    def series(self) -> int:
        return sum(1 for line in self.text.splitlines() if line and not line.startswith("#"))


def scrape(port: int) -> Scrape:
    """One scrape on a connection of its own; without an answer within the timeout, the text is empty."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics", headers=PROMETHEUS_HEADERS)
        answer = connection.getresponse()
        raw = answer.read()
        packed = answer.getheader("Content-Encoding") == "gzip"
    except OSError:
        return Scrape(time.perf_counter() - began, 0, "")
    finally:
        connection.close()
    took_s = time.perf_counter() - began
    return Scrape(took_s, len(raw), (gzip.decompress(raw) if packed else raw).decode())


def samples(text: str, name: str) -> list[tuple[dict[str, str], float]]:
    """Every sample of one metric."""
    return [
        (dict(LABEL.findall(labels or "")), float(value))
        for found, labels, value in SAMPLE.findall(text)
        if found == name
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; NaN without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
