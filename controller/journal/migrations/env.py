"""Alembic's entry: run the migrations on the connection that the controller hands over.

There is no offline mode and no URL here: migrations run at start, inside one transaction of the caller.
"""

from alembic import context

from controller.journal.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters tables by copying them
)
context.run_migrations()
