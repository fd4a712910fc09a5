"""The real NVML worker, sampling more often: `python -m bench.agentlab.fast_worker INTERVAL_S`."""

import sys

from agent.probes.nvml import __main__ as worker
from agent.probes.nvml import device

if __name__ == "__main__":
    device.SAMPLE_INTERVAL_S = float(sys.argv[1])
    worker.main()
