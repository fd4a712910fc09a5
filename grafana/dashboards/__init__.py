"""One module per dashboard: what it shows, from its question down to the details."""
