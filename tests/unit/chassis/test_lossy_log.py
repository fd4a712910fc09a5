"""A log that nobody takes costs the line, not the work."""

import subprocess
import sys

PROGRAM = """
from chassis.logs import configure_logs, logger
configure_logs(process="p", level="INFO")
logger("m").info("said", number=1)
print("went on")
"""


def test_a_full_disk_behind_the_log_fails_nothing():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=full, timeout=20, check=False
        )
    assert (done.returncode, done.stdout) == (0, b"went on\n")


def test_a_log_that_works_gets_every_line():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=20, check=True)
    assert b'"event": "said"' in done.stderr
