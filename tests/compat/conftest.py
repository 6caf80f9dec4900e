"""The code of the version before this one, where git has it."""

from pathlib import Path

import pytest

from tests.compat.versions import previous_revision, unpacked


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Return a directory with the previous version's code; None where the history is not at hand."""
    return unpacked(previous_revision(), tmp_path_factory.mktemp("previous"))
