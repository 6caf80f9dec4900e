"""Schemas change only in ways in which every version that ever wrote can still be read."""

import json
import shutil

import pytest

from tests.compat.evolution import faults
from tests.compat.versions import HERE, ROOT

AVRO = ROOT / "schemas/avro"
KEPT = json.loads((HERE / "schemas.json").read_text())


@pytest.fixture
def avro(tmp_path):
    return shutil.copytree(AVRO, tmp_path / "avro")


def edit(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def next_version(avro, record, old_id, new_id, change):
    """Change a schema as CONTRIBUTING asks: the old one is kept under its id, the new one has an id of its own."""
    old = avro / "history" / f"{record}.{old_id}.avsc"
    old.parent.mkdir(exist_ok=True)
    shutil.copy(avro / f"{record}.avsc", old)
    edit(avro / f"{record}.avsc", change)
    edit(
        avro / "ids.json",
        lambda ids: ids.update({str(old_id): f"history/{record}.{old_id}.avsc", str(new_id): f"{record}.avsc"}),
    )


def add(name, **field):
    return lambda schema: schema["fields"].append({"name": name, "type": "string", **field})


def without_news(found):
    return [each for each in found if "is not in schemas.json" not in each]


def test_every_schema_reads_all_that_was_ever_written():
    assert faults(AVRO, KEPT) == []


def test_a_schema_that_is_kept_and_grows_a_field_with_a_default_is_right(avro):
    next_version(avro, "MergedEntity", 2, 4, add("reason", default=""))
    (news,) = faults(avro, KEPT)

    assert news.startswith("id 4 is not in schemas.json")
    assert faults(avro, {**KEPT, "4": news.split()[-1]}) == []


def test_two_steps_are_compared_with_each_other_and_with_the_first(avro):
    next_version(avro, "MergedEntity", 2, 4, add("reason", default=""))
    next_version(avro, "MergedEntity", 4, 5, lambda schema: schema["fields"].pop())
    assert without_news(faults(avro, KEPT)) == []
    next_version(avro, "MergedEntity", 5, 6, add("reason"))

    found = without_news(faults(avro, KEPT))

    assert found == [
        "MergedEntity.avsc cannot read what MergedEntity.2.avsc wrote",
        "MergedEntity.avsc cannot read what MergedEntity.5.avsc wrote",
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda avro: edit(avro / "Records.avsc", add("more", default="")), "Records.avsc is not what id 3 stood for"),
        (lambda avro: edit(avro / "ids.json", lambda ids: ids.pop("1")), "id 1 is no longer in ids.json"),
        (lambda avro: edit(avro / "ids.json", lambda ids: ids.update({"2": "Records.avsc"})), "what id 2 stood for"),
        (lambda avro: shutil.copy(avro / "Records.avsc", avro / "Other.avsc"), "Other.avsc is in no version"),
        (
            lambda avro: next_version(avro, "MergedEntity", 2, 4, lambda schema: schema["fields"].pop(2)),
            "MergedEntity.2.avsc cannot read what MergedEntity.avsc wrote",
        ),
        (
            lambda avro: next_version(avro, "Records", 3, 4, lambda schema: schema["fields"].reverse()),
            "Records.avsc: version is read without the rest",
        ),
        (
            lambda avro: next_version(avro, "Change", 1, 4, lambda schema: schema["fields"][0].update(type="long")),
            "Change.avsc cannot read what Change.1.avsc wrote",
        ),
    ],
)
def test_each_wrong_change_of_a_schema_is_seen(avro, change, fault):
    change(avro)

    assert fault in "\n".join(faults(avro, KEPT))
