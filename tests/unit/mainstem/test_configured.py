"""The connectors of a configuration, as those need them who steer."""

import pytest

from mainstem.config import Config
from mainstem.configured import configured

LOCAL = {"connector_id": "local", "type": "git", "connection": {"path": "."}}
REMOTE = {"connector_id": "remote", "type": "git", "connection": {"url": "https://git.example/acme"}}
OTHERS = [{"connector_id": "team", "type": "external"}, {"connector_id": "own", "type": "acme", "enabled": False}]


@pytest.mark.parametrize(("trees", "central"), [([LOCAL, REMOTE], {"remote"}), ([LOCAL], {"local"}), ([], set())])
def test_the_central_repository_is_the_one_that_lies_elsewhere(trees, central):
    found = configured(Config.model_validate({"connectors": [*trees, *OTHERS]}))
    assert central == {each.id for each in found if each.is_central}


def test_only_what_others_publish_runs_nowhere_also_where_a_type_is_not_installed():
    found = configured(Config.model_validate({"connectors": [LOCAL, *OTHERS]}))
    assert [(each.id, each.runs_here, each.enabled) for each in found] == [
        ("local", True, True),
        ("team", False, True),
        ("own", True, False),
    ]
