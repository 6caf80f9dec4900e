"""Run by Alembic for every command; `schemas/database.py` hands the connection in."""

from alembic import context
from sqlalchemy import NullPool, create_engine, text

LOCK = 0x6D61696E7374656D  # "mainstem"


def run_offline() -> None:
    context.configure(url="postgresql+psycopg://", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    engine = create_engine("postgresql+psycopg://", creator=context.config.attributes["connect"], poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            # Before Alembic reads the version: whoever waited here finds the work done.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
