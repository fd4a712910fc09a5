"""A short, seeded run of `bench.kills`: real processes killed at random moments, and no order executed twice or lost.

In a process of its own, because it forks, and a test run has threads.
"""

import json
import subprocess
import sys

import pytest

from bench.killing.evidence import Evidence


@pytest.mark.parametrize("seed", [7])
def test_no_kill_makes_an_order_happen_twice_or_vanish(seed):
    argv = [sys.executable, "-m", "bench.kills", "--kills", "60", "--seed", str(seed), "--json"]
    done = subprocess.run(argv, capture_output=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    said = json.loads(done.stdout)
    assert said["broken"] == []
    assert said["kills"]["agent"] + said["kills"]["controller"] == 60
    assert min(said["orders"], said["executions"], said["interrupted"]) > 0  # else nothing was put to the test


WHOLE = {
    "orders": 1,
    "open": 0,
    "statuses": {"done": 1},
    "refusals": {},
    "executions": 1,
    "interrupted": 0,
    "interrupted_before_touch": 0,
    "executed_twice": (),
    "done_but_not_executed": (),
    "refused_but_executed": (),
    "executed_but_unknown": (),
    "stale_refused": 0,
    "fenced_writes": 0,
}


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ({"executed_twice": ("4",)}, "executed twice: 1"),
        ({"done_but_not_executed": ("4",)}, "never executed"),
        ({"refused_but_executed": ("4",)}, "REFUSED but executed"),
        ({"executed_but_unknown": ("4",)}, "no leader's journal"),
        ({"open": 2}, "2 orders have no final receipt"),
    ],
)
def test_every_broken_promise_is_called_one(flaw, words):
    assert Evidence(**WHOLE).broken_promises() == []
    assert words in Evidence(**{**WHOLE, **flaw}).broken_promises()[0]
