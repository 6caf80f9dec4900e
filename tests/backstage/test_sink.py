"""The sink and the module together: after each fault a real Backstage holds, within one resync, what was merged."""

from dataclasses import replace

import pytest

from schemas import database as schema
from schemas.canonical import canonical_json, content_hash
from schemas.entities import MergedEntity, Vanished
from sinks.backstage.circuit import Pace
from tests.acceptance.running import eventually
from tests.backstage.entities import ref
from tests.integration.sinks.backstage_stage import Brisk, Drive, rows

COUNT = 30
ALL = [f"e{number}" for number in range(1, COUNT + 1)]


def _whole(name, version, **metadata):
    entity = {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay"},
    }
    return MergedEntity(
        tenant="default",
        entity_ref=ref(name),
        version=version,
        entity=entity,
        service={},
        content_hash=content_hash(canonical_json({"entity": entity, "service": {}})),
        provenance={},
        change="created",
        changed=[""],
        stale=[],
        merged_at=1,
    )


@pytest.fixture
def drive(backstage, database):
    """Yield a sink over a database of its own; the entities of each test bear the name of the test's database."""
    schema.migrate(database)

    class Patient(Brisk):
        pace = Pace(probe_seconds=0.5, gate_seconds=0.1, read_seconds=30.0, total_seconds=60.0)

        def __init__(self, settings):
            super().__init__(replace(settings, secret=lambda _: backstage.token))

    backstage.empty_database()
    auth = {"type": "bearer_token", "secret_ref": "env:TOKEN"}
    drive = Drive(backstage, database, kind=Patient, options={"shards": 16, "auth": auth})
    drive.carry(*(_whole(f"e{number}", number) for number in range(1, COUNT + 1)))
    yield drive
    drive.close()


def _shows(backstage, names):
    wanted = {ref(name) for name in names}

    def found():
        return {each for each in backstage.entities() if each.startswith("component:")}

    eventually(lambda: found() == wanted, 120, backstage.tail)


def test_what_was_merged_changed_and_deleted_is_what_backstage_shows(backstage, drive, database):
    drive.carry(
        _whole("e1", 101, description="another"),
        Vanished(tenant="default", entity_ref=ref("e2"), version=102, merged_at=1, reason="deleted"),
    )
    eventually(lambda: backstage.entity(ref("e1"))["metadata"].get("description") == "another", 120, backstage.tail)
    _shows(backstage, [name for name in ALL if name != "e2"])
    assert {state for _, state in rows(database).values()} == {"applied", "removed"}


def test_one_that_backstage_would_refuse_is_set_aside_and_the_others_are_shown(backstage, drive):
    drive.carry(_whole("spoilt", 103, tags=["Not A Tag"]), _whole("beside", 104))
    _shows(backstage, [*ALL, "beside"])
    assert [delivery.key for delivery, _ in drive.dead_letters] == [ref("spoilt").encode()]


@pytest.mark.parametrize("fault", ["restart", "kill", "emptied", "deleted there"])
def test_one_resync_heals(backstage, drive, fault):
    _shows(backstage, ALL)
    if fault == "restart":
        backstage.restart()
    elif fault == "kill":
        backstage.kill()
        backstage.start()
    elif fault == "emptied":
        backstage.empty_database()
    else:
        backstage.delete(ref("e3"))
    drive.resync()
    _shows(backstage, ALL)
    assert drive.dead_letters == []


def test_a_resync_of_what_is_unchanged_puts_nothing(drive):
    drive.resync()
    put = drive.metric("resynced_shards_total", result="put")
    drive.resync()
    assert drive.metric("resynced_shards_total", result="put") == put
