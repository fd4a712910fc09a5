"""Pure decisions of a replica: whom to admit, which chunk comes next, which profile is in use, what counts as good."""
