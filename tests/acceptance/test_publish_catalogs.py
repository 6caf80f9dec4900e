"""Real catalogues through the real thing: what `publish` accepts and refuses, and what of it is merged in Postgres."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.topics import FORWARDED_FROM
from tests import oracle
from tests.acceptance.conftest import CATALOGS
from tests.patience import eventually

_REPOSITORY = Path(__file__).parents[2]
_DATA = Path(os.environ.get("MAINSTEM_TEST_DATA", _REPOSITORY.parent / "shared" / "data")) / "backstage-catalogs"
_ROW = re.compile(r"(?P<place>.+:\d+) (?P<ref>\S+) partition (?P<partition>\d+) offset (?P<offset>\d+)")

pytestmark = [
    pytest.mark.skipif(not _DATA.is_dir(), reason="the catalogues are not on this machine"),
    pytest.mark.timeout(1200),
]


class _Core(yaml.CSafeLoader):
    """YAML 1.2's core schema, as Backstage reads it."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML wants it so


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first)


@dataclass(frozen=True)
class _Written:
    """A document as it stands in a file, and what an independent reader says about it."""

    place: str
    entity: Any
    ref: str | None
    accepted: bool


@dataclass(frozen=True)
class _Call:
    """One `publish` of one connector, and what it should and did say."""

    connector: str
    written: list[_Written]
    ended: Any

    @property
    def accepted(self) -> list[_Written]:
        return [each for each in self.written if each.accepted]

    @property
    def refused(self) -> list[_Written]:
        return [each for each in self.written if not each.accepted]

    @property
    def rows(self) -> list[dict[str, str]]:
        return [_ROW.fullmatch(line).groupdict() for line in self.ended.stdout.splitlines()]


@pytest.fixture(scope="module")
def calls(installation):
    """Yield one call for each connector, all of them made."""
    found = []
    for number, folders in enumerate(_apart()):
        connector = f"catalog-{number}"
        files = [file for file in _files() if file.split("/")[0] in folders]
        ended = installation.run("publish", "--connector", connector, *files, cwd=_DATA)
        found.append(_Call(connector, [each for file in files for each in _documents(file)], ended))
    installation.wait_until_merged([call.connector for call in found])
    return found


def test_there_are_578_documents_of_which_518_are_accepted(calls):
    assert sum(len(call.written) for call in calls) == 578
    assert sum(len(call.accepted) for call in calls) == 518


def test_publish_names_file_line_and_entity_of_each_document_that_it_accepts(calls):
    for call in calls:
        assert [(row["place"], row["ref"]) for row in call.rows] == [
            (each.place, each.ref) for each in call.accepted
        ], call.connector


def test_publish_names_file_line_and_reason_of_each_document_that_it_refuses(calls):
    for call in calls:
        lines = [line.partition(": ") for line in call.ended.stderr.splitlines()]
        assert [place for place, _, _ in lines] == [each.place for each in call.refused], call.ended.stderr
        assert all(len(reason) > 10 for _, _, reason in lines), call.ended.stderr


def test_the_exit_code_is_1_where_something_was_refused(calls):
    assert [call.ended.returncode for call in calls] == [int(bool(call.refused)) for call in calls]


def test_what_was_accepted_is_on_the_topic_as_it_was_written(installation, calls):
    for call in calls:
        messages = _by_place(installation.read(installation.topics.changes(call.connector)))
        for row, each in zip(call.rows, call.accepted, strict=True):
            message = messages[int(row["partition"]), int(row["offset"])]
            assert (message.key().decode(), json.loads(message.value())) == (each.ref, {"entity": each.entity})


def test_every_accepted_entity_is_merged_in_postgres(installation, calls):
    said, world = [], oracle.World()
    for call in calls:
        messages = _by_place(installation.read(installation.topics.changes(call.connector)))
        for row, each in zip(call.rows, call.accepted, strict=True):
            timestamp = messages[int(row["partition"]), int(row["offset"])].timestamp()[1]
            said.append(oracle.Said(call.connector, timestamp, {"entity": each.entity}))
    merged = oracle.entities(said, world, max(each.timestamp for each in said))
    expected = {ref: (each["entity"], each["service"], each["contentHash"]) for ref, each in merged.items()}
    assert expected.keys() == {each.ref for call in calls for each in call.accepted}
    eventually(
        lambda: expected.items() <= _in_postgres(installation).items(),
        60,
        lambda: str(_wrong(expected, _in_postgres(installation)))[:5000],
    )


def test_an_entity_that_one_document_names_is_that_document_in_its_namespace(installation, calls):
    by_ref: dict[str, list[Any]] = {}
    for call in calls:
        for each in call.accepted:
            by_ref.setdefault(each.ref, []).append(each.entity)
    alone = {ref: entities[0] for ref, entities in by_ref.items() if len(entities) == 1}
    assert len(alone) > 250
    found = installation.entities()
    different = {ref for ref, entity in alone.items() if _plain(entity) != found[ref]["entity"]}
    assert different == set()


def test_nothing_that_publish_accepted_was_refused_later(installation, calls):
    letters = installation.read(installation.topics.dead_letters)
    origins = [dict(message.headers())["mainstem-origin-topic"].decode() for message in letters]
    topics = {installation.topics.changes(call.connector) for call in calls}
    assert topics.intersection(origins) == set()
    forwarded = [
        message
        for topic in topics
        for message in installation.read(topic)
        if FORWARDED_FROM in dict(message.headers() or ())
    ]
    assert forwarded == []


def _files() -> dict[str, Any]:
    return json.loads((_DATA / "expected.json").read_bytes())["files"]


def _apart() -> list[set[str]]:
    """Return groups of folders, in none of which two folders name the same entity; each group is one connector's."""
    names: dict[str, set[str]] = {}
    for file, found in _files().items():
        refs = {each["entityRef"] for each in found["entities"] if each["accepted"]}
        names.setdefault(file.split("/")[0], set()).update(refs)
    groups: list[tuple[set[str], set[str]]] = []
    for folder in sorted(names):
        for folders, refs in groups:
            if not refs & names[folder]:
                folders.add(folder)
                refs.update(names[folder])
                break
        else:
            groups.append(({folder}, set(names[folder])))
    assert len(groups) <= CATALOGS
    return [folders for folders, _ in groups]


def _documents(file: str) -> list[_Written]:
    loader = _Core((_DATA / file).read_text())
    nodes = []
    while loader.check_node():
        nodes.append(loader.get_node())
    nodes = [node for node in nodes if node.tag != "tag:yaml.org,2002:null"]
    return [
        _Written(
            f"{file}:{node.start_mark.line + 1}", loader.construct_document(node), each["entityRef"], each["accepted"]
        )
        for node, each in zip(nodes, _files()[file]["entities"], strict=True)
    ]


def _by_place(messages: list[Any]) -> dict[tuple[int, int], Any]:
    return {(message.partition(), message.offset()): message for message in messages}


def _in_postgres(installation) -> dict[str, Any]:
    return {
        ref: (row["entity"], row["service"], row["content_hash"])
        for ref, row in installation.entities().items()
        if row["deleted_at"] is None
    }


def _wrong(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {ref: (each, found.get(ref)) for ref, each in expected.items() if found.get(ref) != each}


def _plain(entity: dict[str, Any]) -> dict[str, Any]:
    """Return what remains of a whole entity that nobody else describes.

    Less what is always dropped and what says nothing; lists that are unions are sorted.
    """
    entity = oracle.received(entity)
    metadata = _said(entity["metadata"])
    for name in ("annotations", "labels"):
        metadata[name] = {key: value for key, value in metadata.get(name, {}).items() if value is not None}
    metadata["tags"] = sorted(set(metadata.get("tags", [])))
    spec = _said(entity.get("spec") or {})
    for name in oracle.UNIONS_OF_REFS:
        kind = "api" if name in ("providesApis", "consumesApis") else None
        refs = {_canonical(ref, kind, metadata["namespace"]): ref for ref in reversed(spec.get(name, []))}
        spec[name] = [refs[key] for key in sorted(refs)]
    unions = {name: spec.pop(name) for name in oracle.UNIONS_OF_REFS}
    spec |= {name: value for name, value in unions.items() if value}
    empty = {name for name in ("annotations", "labels", "tags", "links") if not metadata.get(name)}
    metadata = {name: value for name, value in metadata.items() if name not in empty}
    return {"apiVersion": entity["apiVersion"], "kind": entity["kind"], "metadata": metadata} | (
        {"spec": spec} if spec else {}
    )


def _said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _canonical(ref: str, kind: str | None, namespace: str) -> str:
    parsed = oracle.parse_ref(ref, kind=kind, namespace=namespace)
    return ref.lower() if parsed is None else f"{parsed[0]}:{parsed[1]}/{parsed[2]}"
