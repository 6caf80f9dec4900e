"""Migrations on a real Postgres."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from alembic import command
from psycopg import conninfo

from schemas import database as schema
from schemas.errors import ConfigError, UnavailableError
from tests.patience import ended, eventually

SCHEMA = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2
"""


def columns(dsn):
    with psycopg.connect(dsn) as connection:
        return connection.execute(SCHEMA).fetchall()


def test_a_migrated_database_is_up_to_date_and_migrating_again_changes_nothing(database):
    schema.migrate(database)
    before = columns(database)
    schema.migrate(database)
    assert (schema.check(database), columns(database)) == (None, before)


def test_an_empty_database_is_told_apart(database):
    assert "run `mainstem db migrate`" in (schema.check(database) or "")


def test_several_processes_may_migrate_at_once(database):
    code = f"from schemas.database import migrate; migrate({database!r})"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [ended(process, 60) for process in processes] == [0, 0, 0]
    assert schema.check(database) is None


@pytest.mark.parametrize("revision", ["0012", "0013", "0014"])
def test_a_migration_waits_for_what_a_running_version_is_about_to_write(database, revision):
    schema.migrate(database)
    command.downgrade(schema._config(lambda: schema._connect(database)), revision)
    with ThreadPoolExecutor() as pool, psycopg.connect(database) as writer:
        # As the sink does: services first, and what they depend on.
        writer.execute("DELETE FROM services")
        migrating = pool.submit(schema.migrate, database)
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        with psycopg.connect(database, autocommit=True) as looking:
            eventually(lambda: looking.execute(waiting).fetchone(), 30, lambda: "the migration waits for nobody")
        writer.execute("DELETE FROM service_dependencies")
        writer.commit()
        migrating.result(30)
    assert schema.check(database) is None


def test_the_script_for_a_dba_makes_the_same_tables(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(schema.offline_sql().encode())
    assert schema.check(database) is None
    assert ("entities", "search", "tsvector") in columns(database)


def test_a_database_that_is_not_there_is_named_without_the_password(postgres):
    dsn = conninfo.make_conninfo(postgres, dbname="nowhere", password="s3cret")
    with pytest.raises(UnavailableError, match="nowhere") as found:
        schema.migrate(dsn)
    assert "s3cret" not in str(found.value)


def test_a_host_that_does_not_answer_is_named_without_the_password():
    with pytest.raises(UnavailableError, match=r"database x on 127\.0\.0\.1:1 cannot be reached") as found:
        schema.check("postgresql://u:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in str(found.value)


def test_a_text_that_is_no_dsn_is_refused_without_quoting_it():
    with pytest.raises(ConfigError) as found:
        schema.check("postgres//u:s3cret@x")
    assert "s3cret" not in str(found.value)


SENTENCES = [
    ("", "SELECT 1 FROM entities", r"holds no Mainstem tables, or not all of them; run `mainstem db migrate`$"),
    (
        "SET ROLE pg_database_owner",
        "SELECT * FROM pg_authid",
        r"not allow it \(permission denied for table pg_authid\)",
    ),
    ("SET default_transaction_read_only = on", "CREATE TABLE x ()", r"is read-only, as a standby is: name the primary"),
    ("", "SELECT pg_terminate_backend(pg_backend_pid())", r"does not answer: start it, or correct postgres\.dsn$"),
    ("", "SELECT 's3cret'::int", r"does not do what was asked: InvalidTextRepresentation \(22P02\)$"),
]


@pytest.mark.parametrize(("before", "statement", "sentence"), SENTENCES)
def test_what_postgres_refuses_is_a_sentence(database, before, statement, sentence):
    with closing(psycopg.connect(database, autocommit=True)) as connection:
        connection.execute(before)
        with pytest.raises(UnavailableError, match=sentence) as found, schema.sentences(database):
            connection.execute(statement)
    assert "s3cret" not in str(found.value)


def test_alembic_is_not_imported_before_it_is_needed():
    code = "import sys, schemas.database; sys.exit(bool({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
