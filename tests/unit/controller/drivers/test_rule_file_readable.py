"""The file of rules is written by one user and read by another."""

import os
from pathlib import Path

import pytest

from controller.drivers.rule_file_store import RuleFileStore

UMASK_OF_THE_UNIT = 0o077


@pytest.fixture
def _as_a_service():
    former = os.umask(UMASK_OF_THE_UNIT)
    yield
    os.umask(former)


@pytest.mark.usefixtures("_as_a_service")
def test_prometheus_may_read_what_a_service_with_a_strict_umask_wrote(tmp_path: Path):
    store = RuleFileStore(tmp_path / "slo.yml")
    store.write("groups: []")
    store.keep_as_good("groups: []")
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {
        "slo.yml": "0o644",
        ".slo.yml.good": "0o644",
    }
