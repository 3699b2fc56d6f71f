"""Run by Alembic: brings the tables of the connection that `Database.upgrade` gives to the present edition."""

from __future__ import annotations

from alembic import context

from weighbridge.registry.records.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=False,
    render_as_batch=True,
)
context.run_migrations()
