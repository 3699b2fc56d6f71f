"""Write the next migration of the registry's tables: python scripts/migration.py NUMBER WHAT."""

import sys
from pathlib import Path

from alembic.autogenerate import api, produce_migrations
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from weighbridge.registry.records import Database
from weighbridge.registry.records.tables import METADATA

FOLDER = Path(__file__).parent.parent / "src/weighbridge/registry/records/migrations/versions"


def main(number, what):
    engine = create_engine("sqlite://")
    before = sorted(path.stem[:4] for path in FOLDER.glob("0*.py"))
    with engine.begin() as connection:
        if before:
            Database.migrate(connection)
        context = MigrationContext.configure(connection)
        script = produce_migrations(context, METADATA)
        up = api.render_python_code(script.upgrade_ops, render_as_batch=False)
    last = repr(before[-1]) if before else "None"
    (FOLDER / f"{number}_{what}.py").write_text(
        f'"""{what.replace("_", " ").capitalize()}."""\n\nfrom __future__ import annotations\n\nimport sqlalchemy as sa\n'
        f"from alembic import op\n\nrevision = {number!r}\ndown_revision = {last}\n\n\n"
        f'def upgrade() -> None:\n    """Bring the tables to this edition."""\n    {up}\n'
    )


main(*sys.argv[1:])
