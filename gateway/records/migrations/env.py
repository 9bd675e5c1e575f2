"""Alembic runs this file: it migrates over the connection that it was given."""

from __future__ import annotations

from alembic import context

from gateway.records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot change a column otherwise
)
context.run_migrations()
