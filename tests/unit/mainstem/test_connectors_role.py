"""What a connector's configuration says reaches its source."""

import pytest

from mainstem.installation import Installation
from mainstem.roles.connectors import runnable


@pytest.mark.parametrize(
    ("type_name", "incremental", "size"),
    [("git", "{}", 50), ("backstage", "{}", 500), ("backstage", "{chunk_size: 50}", 50)],
)
def test_a_page_is_as_large_as_configured_or_else_as_its_type_says(tmp_path, type_name, incremental, size):
    connection = "{path: .}" if type_name == "git" else "{base_url: 'https://backstage.acme.com'}"
    file = tmp_path / "mainstem.yaml"
    file.write_text(
        f"connectors: [{{connector_id: a, type: {type_name}, connection: {connection}, incremental: {incremental}}}]"
    )
    (connector,) = runnable(Installation.open(file, tmp_path))
    assert connector.source.settings.chunk_size == size
