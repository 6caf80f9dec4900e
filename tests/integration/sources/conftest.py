import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo, sql

from schemas.database import migrate
from tests.integration.sources.stage import Stage


@pytest.fixture(scope="session")
def migrated(postgres: str) -> str:
    """Return the name of a database with all tables, to make others from."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(conninfo.make_conninfo(postgres, dbname=name))
    return name


@pytest.fixture
def stage(kafka: str, postgres: str, migrated: str) -> Iterator[Stage]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(migrated))
        admin.execute(made)
    yield Stage(kafka, conninfo.make_conninfo(postgres, dbname=name))
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
