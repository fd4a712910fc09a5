"""Faults on purpose, bounded and undone: what `trimtab chaos` and the demo inject into a running stack."""
