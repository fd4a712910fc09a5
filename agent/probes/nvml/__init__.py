"""The NVML worker: `python -m agent.probes.nvml` reads GPUs and prints JSON lines; the agent reads those.

NVML calls can block for ever inside a wedged driver, in a way that even SIGKILL does not end. So they never run in the
process that owns the agent's socket, and each GPU has a thread of its own: one that blocks stops neither the others nor
the agent. The one home of `pynvml`.
"""
