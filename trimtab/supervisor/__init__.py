"""Runs a stack plan as supervised child processes: ordered start, restarts, clean stop, and no orphan ever."""
