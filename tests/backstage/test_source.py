"""A real Backstage as a source: all that it holds, but what it has from Mainstem."""

import pytest

from sources.backstage import BackstageSource
from sources.base import SourceSettings
from tests.backstage.entities import LOCATIONS, component, ref
from tests.integration.sources.conftest import migrated, stage
from tests.patience import eventually

__all__ = ["migrated", "stage"]


@pytest.fixture
def source(backstage, stage):
    stage.is_complete = False
    token = {"type": "bearer_token", "secret_ref": "env:TOKEN"}
    return BackstageSource(
        SourceSettings(
            connector="scripted",
            connection={"base_url": backstage.url, "auth": token},
            chunk_size=2,
            secret=lambda _: backstage.token,
        )
    )


def _holds(backstage, *names, location="url:https://git.acme.com/pay/catalog-info.yaml"):
    """Let Backstage hold components that it has from *location*."""
    upserts = []
    for name in names:
        entity = component(name)
        entity["metadata"]["annotations"] = dict.fromkeys(LOCATIONS, location)
        upserts.append(entity)
    _change(backstage, upserts=upserts)
    wanted = {ref(name) for name in names}
    eventually(lambda: wanted <= backstage.entities().keys(), said=backstage.tail)


def _change(backstage, upserts=(), removals=()):
    body = {"shard": 3, "upserts": list(upserts), "removals": list(removals)}
    backstage.request("POST", "/changes", json=body).raise_for_status()


def test_a_run_takes_what_backstage_holds_and_a_second_one_nothing(backstage, stage, source):
    names = [f"taken-{number}" for number in range(5)]
    _holds(backstage, *names)
    _holds(backstage, "own-echo", location="mainstem:catalog")
    stage.look(source)
    held = stage.held().keys()
    stage.look(source)
    first, second = stage.runs
    assert ({ref(name) for name in names} <= held, ref("own-echo") in held) == (True, False)
    assert (first["outcome"], second["outcome"], second["published"]) == ("complete", "complete", 0)


def test_what_backstage_no_longer_holds_is_deleted(backstage, stage, source):
    _holds(backstage, "leaves-1", "leaves-2")
    stage.look(source)
    _change(backstage, removals=[ref("leaves-1")])
    eventually(lambda: ref("leaves-1") not in backstage.entities(), said=backstage.tail)
    stage.look(source)
    assert (ref("leaves-1") in stage.held(), ref("leaves-2") in stage.held()) == (False, True)
