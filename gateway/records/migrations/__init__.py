"""Alembic's revisions of the call database; `gateway.records.database.upgrade` runs them."""
