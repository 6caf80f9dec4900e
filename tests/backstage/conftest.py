"""One Backstage for all tests, on the session's Postgres."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.entities import MergedEntity
from sinks.backstage.sink import BackstageSink
from sinks.base import SinkSettings
from tests.backstage.backstage import SHARDS, Backstage
from tests.backstage.npm import MODULE_NAME, available, install_module, installed_backend
from tests.backstage.stage import Patient
from tests.integration.sinks.backstage_stage import Drive
from tests.integration.sinks.conftest import dsn, entity, whole

__all__ = ["dsn", "entity", "whole"]


@pytest.fixture(scope="session", autouse=True)
def node() -> None:
    if not available():
        pytest.skip("Node.js and npm are not on this machine: the tests with a real Backstage need them")


@pytest.fixture(scope="session")
def installed() -> Path:
    return installed_backend()


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of our module's package, built and packed from this checkout."""
    site = tmp_path_factory.mktemp("module") / "site"
    install_module(site)
    return site / MODULE_NAME


@pytest.fixture(scope="session")
def running(installed: Path, module: Path, postgres: str) -> Iterator[Backstage]:
    """Yield the Backstage of the session: it takes longer to start than most tests do."""
    backstage = Backstage(installed, module, postgres)
    try:
        yield backstage.start()
    finally:
        backstage.close()


@pytest.fixture(scope="module")
def backstage(running: Backstage) -> Backstage:
    """Return a Backstage that is ready and shows nothing of Mainstem.

    The tests of a file share its catalogue: name your entities uniquely, or clear it.
    """
    running.clear()
    return running


@pytest.fixture
def several(whole: Callable[..., MergedEntity]) -> list[MergedEntity]:
    return [whole(f"e{number}", number) for number in range(1, 31)]


@pytest.fixture
def drive(backstage: Backstage, dsn: str) -> Iterator[Callable[..., Drive]]:
    """Yield what makes a sink over the test's own log and database; Backstage shows nothing of Mainstem."""
    backstage.clear()
    made: list[Drive] = []

    def make(kind: type[BackstageSink] = Patient, **fields: Any) -> Drive:
        class WithToken(kind):  # type: ignore[misc,valid-type]
            def __init__(self, settings: SinkSettings) -> None:
                super().__init__(replace(settings, secret=lambda _: backstage.token))

        auth = {"type": "bearer_token", "secret_ref": "env:TOKEN"}
        options = {"shards": SHARDS, "auth": auth, **fields.pop("options", {})}
        made.append(Drive(backstage, dsn, kind=WithToken, options=options, **fields))
        return made[-1]

    yield make
    for each in made:
        each.close()
