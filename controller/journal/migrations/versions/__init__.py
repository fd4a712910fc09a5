"""One file per schema change, applied in the order of their revisions."""
