"""The real NVML worker, sampling more often: `python -m bench.agentlab.fast_worker INTERVAL_S`."""

import sys

from agent.probes.nvml import __main__ as worker


def main(interval_s: float) -> None:
    """Hasten it once the worker itself has arranged what is imported."""
    worker.prepare()
    from agent.probes.nvml import device, life  # noqa: PLC0415  # see above

    device.SAMPLE_INTERVAL_S = interval_s
    life.main()


if __name__ == "__main__":
    main(float(sys.argv[1]))
