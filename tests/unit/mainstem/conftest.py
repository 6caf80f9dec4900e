"""Configurations written to a folder of their own and loaded with no variables but those given."""

import pytest

from mainstem.configuration.loading import load
from schemas.errors import ConfigError


@pytest.fixture
def read(tmp_path):
    """Write *yaml* as mainstem.yaml, and *connectors* beside it, and load them with these variables alone."""

    def load_text(yaml="", *, environ=None, connectors=None):
        file = tmp_path / "mainstem.yaml"
        file.write_text(yaml, encoding="utf-8")
        for name, text in (connectors or {}).items():
            (tmp_path / "connectors.d").mkdir(exist_ok=True)
            (tmp_path / "connectors.d" / name).write_text(text, encoding="utf-8")
        return load(file, environ=environ or {})

    return load_text


@pytest.fixture
def faults(read):
    def lines(yaml="", **options):
        with pytest.raises(ConfigError) as refused:
            read(yaml, **options)
        return str(refused.value).splitlines()

    return lines
