"""The command line: runs the whole system on one machine, operates a running one, and proves that it heals."""
