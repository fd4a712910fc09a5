"""`python -m agent.probes.nvml`: the worker, without what it never uses."""

from agent.lean import UNUSED, leave_out, stand_in


def prepare() -> None:
    """Before anything else is imported."""
    leave_out(UNUSED)
    stand_in("ctypes.util", "find_library")  # 2 MB of each worker: pynvml imports the function, and never calls it


def main() -> None:
    """What `life` does; never returns."""
    prepare()
    from agent.probes.nvml.life import main as live  # noqa: PLC0415  # only now: its imports are what is made leaner

    live()


if __name__ == "__main__":
    main()
