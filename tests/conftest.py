"""Services for tests: embedded, unless the environment names running ones.

Nothing here skips: a service that cannot be had fails the test that asked for it.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from mainstem.embedded import EmbeddedKafka, EmbeddedPostgres, default_cache_dir

collect_ignore = ["plugin", "backstage"]
"""Not of an ordinary run: `plugin` is a package of its own, which `tests/acceptance/test_plugin.py` installs and runs,
and `backstage` needs Node.js and minutes: `make test-backstage`."""

EXCUSES = ("are not on this machine", "is not part of this checkout", "only Linux has a death signal")


@pytest.fixture(scope="session")
def short_dir() -> Iterator[Path]:
    """Yield a directory whose path is short enough for unix sockets; gone at the end of the session."""
    path = Path(tempfile.mkdtemp(prefix="mst-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def kafka(short_dir: Path) -> Iterator[str]:
    """Yield the bootstrap servers of one Kafka for the session: topics are shared, so name yours uniquely."""
    if given := os.environ.get("MAINSTEM_TEST_KAFKA"):
        yield given
        return
    service = EmbeddedKafka(short_dir, cache_dir=default_cache_dir())
    service.start()
    yield service.address
    service.stop()


@pytest.fixture(scope="session")
def postgres(short_dir: Path) -> Iterator[str]:
    """Yield the DSN of a superuser of one Postgres for the session."""
    if given := os.environ.get("MAINSTEM_TEST_POSTGRES"):
        yield given
        return
    service = EmbeddedPostgres(short_dir, fsync=False)
    service.start()
    yield service.dsn("postgres")
    service.stop()


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """Yield the DSN of an empty database of the test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield conninfo.make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip is a failure, but for what the kind of machine or an absent folder of foreign data excludes."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    for report in reporter.stats.get("skipped", ()):
        reason = str(report.longrepr[2])
        if not any(excuse in reason for excuse in EXCUSES):
            reporter.write_line(f"\nskipped in CI: {report.nodeid}: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
