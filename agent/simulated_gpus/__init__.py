"""A GPU host without GPUs: a stand-in for NVIDIA's management library, for tests and development only.

A small C library (`nvml/`) takes the place of libnvidia-ml.so.1 in a process that is pointed at it, and answers from a
state file that Python changes while it runs (`state`). Faults are scripted (`faults`), and so is what a reset or a reboot
would do (`machine`). It never talks to a real GPU, and says that it is simulated wherever a version or a name is read.
"""
