"""One stack for all tests here: starting it is the dearest part of them. `test_up.py` comes last, and takes it down."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.embedded import GPUS, REPOSITORY, WEST, Trimtab


@pytest.fixture(scope="session")
def voice_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = REPOSITORY / ".trimtab" / "voice"
    directory = kept if kept.exists() else tmp_path_factory.mktemp("voice") / "joe"
    argv = [sys.executable, "-m", "serving", "prepare", "--voice-dir", str(directory)]
    subprocess.run(argv, cwd=REPOSITORY, check=True, capture_output=True, timeout=300)
    return directory


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, voice_dir: Path) -> Iterator[Trimtab]:
    trimtab = Trimtab(tmp_path_factory.mktemp("up"), voice_dir)
    started = trimtab.up("--gpus", str(GPUS))
    try:
        assert started.returncode == 0, started.stderr
        assert WEST in started.stdout
        yield trimtab
    finally:
        trimtab("down")
