"""Alembic's migrations of the journal; run at start, never by hand."""
