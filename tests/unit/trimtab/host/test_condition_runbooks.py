"""Runbooks of conditions that no alert names yet: whole, and naming only what exists."""

import re
from pathlib import Path

import pytest

from contracts import metric_names

RUNBOOKS = sorted((Path(__file__).resolve().parents[4] / "docs/runbooks/conditions").glob("*.md"))
REASONS = {"gpu_lost", "gpu_memory"}
"""Values of labels that look like names of metrics."""
METRICS = {value for value in vars(metric_names).values() if isinstance(value, str)}


def test_each_condition_has_one():
    assert {path.stem for path in RUNBOOKS} == {"gpu-unfit", "agent-degraded", "replica-quarantined"}


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_explains_itself_and_names_real_metrics(path):
    text = path.read_text()
    for heading in ("**Meaning.**", "**What happens by itself.**", "**Look.**", "**Do.**", "**Over when**"):
        assert heading in text, heading
    named = set(re.findall(r"`((?:gpu|agent)_[a-z_]+)[`{]", text))
    assert named - METRICS - REASONS == set()
    assert named
