"""The whole system on this machine, as its command starts it."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PORT_OFFSET = 3000
GPUS = 4
"""Simulated, per host: more than there are replicas, so that one can be lost without any of them."""
WEST, EAST = "http://127.0.1.10:11080", "http://127.0.2.10:11080"


class Trimtab:
    """The command, with one home."""

    def __init__(self, home: Path, voice_dir: Path) -> None:
        self.home, self.voice_dir = home, voice_dir

    def __call__(self, *arguments: str, within_s: float = 90) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "trimtab", "--home", str(self.home), *arguments]
        return subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=within_s, check=False)

    def up(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self("up", "--detach", "--port-offset", str(PORT_OFFSET), "--voice-dir", str(self.voice_dir), *more, within_s=150)  # fmt: skip
