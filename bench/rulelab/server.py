"""A real Prometheus on files of its own: history is written into it as blocks, questions go to its API.

The server scrapes nothing and evaluates no rules, so what it answers depends on the blocks alone. History lies in the past
on purpose: no result depends on when a bench is run.
"""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from bench.ports import free_port
from bench.rulelab.traffic import Counter

EPOCH_S = 1_767_225_600
"""2026-01-01 00:00 UTC: second 0 of every scene."""
BLOCKS_OF = "--max-block-duration"
"""promtool reads its input once per block; with its default of two hours that is hundreds of times for a month."""
SAMPLES_MAX = 500_000_000
READY_S = 120
QUERY_TIMEOUT_S = 300
IMPORT_TIMEOUT_S = 900
POINTS_MAX = 10_000
"""Prometheus answers no range query with more than 11,000 points per series."""
_LISTEN = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """An instant query's result and what it cost."""

    values: tuple[float, ...]
    labels: tuple[dict[str, str], ...]
    samples: int
    """Read by the query: Prometheus' own `totalQueryableSamples`."""
    seconds: float
    """That Prometheus took to evaluate it."""


@dataclass(frozen=True, slots=True)
class Points:
    """One series of a range query; times in seconds of the scene."""

    labels: dict[str, str]
    times_s: tuple[int, ...]
    values: tuple[float, ...]


class Server:
    """One Prometheus and its folder. History is written while it is closed, questions are answered while it is open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)

    def write(self, counters: Iterable[Counter], *, start_s: int = 0) -> int:
        """Add history that begins at second `start_s`; the number of samples."""
        path, samples = self.folder / "history.om", 0
        with path.open("w") as text:
            for counter in counters:
                samples += len(counter.values)
                first_s = EPOCH_S + start_s + counter.absent_scrapes * counter.scrape_s
                series, step_s = counter.selector, counter.scrape_s
                text.writelines(
                    f"{series} {value} {first_s + place * step_s}\n"
                    for place, value in enumerate(counter.values.tolist())
                )
            text.write("# EOF\n")
        create_blocks(f"{BLOCKS_OF}=768h", "openmetrics", "--quiet", str(path), str(self.data))
        path.unlink()
        return samples

    @contextlib.contextmanager
    def open(self) -> Iterator["Server"]:
        """Run Prometheus until the end of the block."""
        with program(self.folder, self.data, {}) as url:
            self.url = url
            yield self
        self.url = ""

    def ask(self, expr: str, at_s: int) -> Answer:
        """`expr` at one moment, with its cost."""
        data = self._get("query", query=expr, time=str(EPOCH_S + at_s), stats="all")
        stats, result = data["stats"], data["result"]
        return Answer(
            tuple(float(series["value"][1]) for series in result),
            tuple(series["metric"] for series in result),
            int(stats["samples"]["totalQueryableSamples"]),
            float(stats["timings"]["evalTotalTime"]),
        )

    def ask_range(self, expr: str, start_s: int, end_s: int, step_s: int) -> list[Points]:
        """`expr` at every step, in as many queries as Prometheus wants."""
        found: dict[str, tuple[dict[str, str], list[int], list[float]]] = {}
        for first_s in range(start_s, end_s + 1, POINTS_MAX * step_s):
            last_s = min(end_s, first_s + (POINTS_MAX - 1) * step_s)
            limits = {"start": str(EPOCH_S + first_s), "end": str(EPOCH_S + last_s), "step": str(step_s)}
            for series in self._get("query_range", query=expr, **limits)["result"]:
                _, times, values = found.setdefault(str(sorted(series["metric"].items())), (series["metric"], [], []))
                times.extend(int(float(at)) - EPOCH_S for at, _ in series["values"])
                values.extend(float(value) for _, value in series["values"])
        return [Points(labels, tuple(times), tuple(values)) for labels, times, values in found.values()]

    def _get(self, what: str, **parameters: str) -> dict:  # JSON of Prometheus
        answer = httpx.post(f"{self.url}/api/v1/{what}", data=parameters, timeout=QUERY_TIMEOUT_S).json()
        if answer["status"] != "success":
            msg = f"{parameters['query'][:200]}: {answer['error']}"
            raise RuntimeError(msg)
        return answer["data"]


def create_blocks(*arguments: str, folder: Path | None = None) -> None:
    """`promtool tsdb create-blocks-from …`; `RuntimeError` with what it said."""
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", *arguments],
        cwd=folder, check=False, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S,
    )  # fmt: skip
    said = done.stdout + done.stderr
    if done.returncode or re.search(r"(?i)\berror\b|failed", said):
        msg = f"promtool {' '.join(arguments)[:200]}: {said[-1000:]}"
        raise RuntimeError(msg)


@contextlib.contextmanager
def program(folder: Path, data: Path, config: dict[str, object]) -> Iterator[str]:
    """A Prometheus with `config`, until the end of the block; its URL."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port(_LISTEN)
    url = f"http://{_LISTEN}:{port}"
    with (folder / "prometheus.log").open("a") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={data}",
                "--storage.tsdb.retention.time=100y",
                f"--query.max-samples={SAMPLES_MAX}",
                f"--query.timeout={QUERY_TIMEOUT_S}s",
                f"--web.listen-address={_LISTEN}:{port}",
                "--web.enable-lifecycle",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait_ready(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=READY_S)


def _wait_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + READY_S
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/-/ready", timeout=1).is_success:
                return
        time.sleep(0.1)
    msg = f"Prometheus is not ready (exit code {process.poll()})"
    raise RuntimeError(msg)
