"""The exporters that are compared, each over the same simulated GPUs: how to start one and how to read its page."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.simulated_gpus.directory import reader_environment
from bench.agentlab.scraping import Scrape, samples, scrape
from bench.ports import free_port

START_S_MAX = 30.0
END_S_MAX = 5.0
UNUSUAL = ("PYTHONDONTWRITEBYTECODE", "PYTHONOPTIMIZE", "PYTHONMALLOC")
"""What would make a program compile itself at every start, or use memory in another way than on a host."""
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Exporter:
    """A program that serves /metrics."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    log: Path
    temperature_metric: str
    index_label: str
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def pid(self) -> int:
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        told = {name: value for name, value in self.environment.items() if name not in UNUSUAL}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                env=told,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Politely, then not."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(END_S_MAX)
        self.process = None

    def scrape(self) -> Scrape:
        return scrape(self.port)

    def temperatures(self, page: Scrape) -> dict[int, float]:
        """GPU index → what the page says; NaN where it says that."""
        return {int(labels[self.index_label]): value for labels, value in samples(page.text, self.temperature_metric)}

    def wait_for(self, gpus: int) -> None:
        """Until it answers with a page that shows so many GPUs."""
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            page = self.scrape()
            if self.alive and page.answered and len(self.temperatures(page)) >= gpus:
                return
            time.sleep(0.2)
        raise RuntimeError(f"{self.name} did not show {gpus} GPUs within {START_S_MAX:g} s, see {self.log}")


def our_agent(directory: Path, controller_url: str, scratch: Path) -> Exporter:
    """The agent as it runs on a host, without replicas."""
    port = free_port()
    told = {
        "HOST_ID": "bench",
        "REGION": "eu-west",
        "CONTROLLER_URL": controller_url,
        "STATE_DIR": str(scratch / f"agent-{port}"),  # a fresh one: the agent remembers the GPUs of its host
        "PORT": str(port),
        "SLOTS": "1",
        "REPLICAS": "0",
        "SPARES": "0",
        "SIMULATED_GPUS": str(directory),
    }
    return Exporter(
        name="agent",
        argv=(sys.executable, "-m", "agent"),
        environment={**os.environ, **{f"TRIMTAB_AGENT_{name}": value for name, value in told.items()}},
        port=port,
        log=scratch / "agent.log",
        temperature_metric="gpu_temperature_celsius",
        index_label="gpu",
    )


def nvitop_exporter(binary: Path, directory: Path, scratch: Path) -> Exporter:
    """nvitop-exporter as it is installed, reading once a second like the agent."""
    port = free_port()
    return Exporter(
        name="nvitop-exporter",
        argv=(str(binary), "--hostname", "bench", "--port", str(port), "--interval", "1"),
        environment=reader_environment(directory, os.environ),
        port=port,
        log=scratch / "nvitop.log",
        temperature_metric="gpu_temperature_C",
        index_label="index",
    )
