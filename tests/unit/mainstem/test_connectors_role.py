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


def test_who_only_looks_shares_nothing_with_the_role_that_runs(tmp_path):
    file = tmp_path / "mainstem.yaml"
    file.write_text("connectors: [{connector_id: a, type: git, connection: {url: 'https://git.acme.com/pay'}}]")
    installation = Installation.open(file, tmp_path)
    kept = [runnable(installation, keeps=keeps)[0].source.settings.data_dir for keeps in (True, False)]
    assert kept == [tmp_path / "sources" / "a", None]
