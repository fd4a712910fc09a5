"""`python -m agent`: one per GPU host."""

import sys

from agent.lean import UNUSED, leave_out


def main() -> int:
    """What `agent.command` does, without what it never uses."""
    leave_out(UNUSED)
    from agent.command import main as run  # noqa: PLC0415  # only now: its imports are what is made leaner

    return run()


if __name__ == "__main__":
    sys.exit(main())
