"""The examples of how to connect Git can be used, and make the entities that the page says."""

import re
from pathlib import Path

import yaml

from sources.base import Item, SourceSettings
from sources.config_documents import reading_of
from sources.files import DirectoryFiles
from sources.git import GitSource

PAGE = (Path(__file__).parents[3] / "docs/how-to/connect-git.md").read_text()


def connectors():
    for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        yield from yaml.safe_load(text)["connectors"]


def test_every_connector_of_the_page_can_be_made():
    made = [
        GitSource(SourceSettings(connector=each["connector_id"], connection=each["connection"]))
        for each in connectors()
    ]

    assert [each.settings.connector for each in made] == ["git", "catalogue", "topology", "central-config"]


def test_the_file_of_the_page_becomes_the_entities_of_the_page(tmp_path):
    name, text, told = re.search(
        r"With this, `([^`]+)`\n\n```text\n(.*?)```\n\nbecomes (.*?)\.\n", PAGE, re.DOTALL
    ).groups()
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(text)
    settings = SourceSettings(connector="central-config", connection=list(connectors())[-1]["connection"])

    found = [
        each.change for each in reading_of(settings).over(DirectoryFiles(tmp_path)).whole() if isinstance(each, Item)
    ]

    refs = [f"{each['entity']['kind'].lower()}:default/{each['entity']['metadata']['name']}" for each in found]
    assert refs == re.findall(r"`([^`]+)`", told)
    assert found[0] == {
        "entity": {
            "apiVersion": "backstage.io/v1alpha1",
            "kind": "Component",
            "metadata": {
                "name": "pay",
                "description": "Takes the money",
                "annotations": {"acme.com/file": "teams/payments/pay.yaml"},
            },
            "spec": {"type": "service", "owner": "team-pay"},
        },
        "service": {"tier": "tier1", "slackChannel": "#pay"},
    }
