"""What crosses a process border: vocabulary, metric names, and the versioned HTTP bodies. Imports nothing of ours."""
