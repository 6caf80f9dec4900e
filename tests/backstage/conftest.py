"""One Backstage for all tests of a file, on the session's Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backstage.backstage import Backstage
from tests.backstage.npm import MODULE_NAME, available, install_module, installed_backend


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


@pytest.fixture(scope="module")
def backstage(installed: Path, module: Path, postgres: str) -> Iterator[Backstage]:
    """Yield a Backstage that is ready. The tests of a file share its catalogue: name your entities uniquely."""
    backstage = Backstage(installed, module, postgres)
    try:
        yield backstage.start()
    finally:
        backstage.close()
