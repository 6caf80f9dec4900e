"""Real catalogues of other people: what is read and what is refused agrees with an independent reader."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from schemas.descriptors import faults, received
from sources.documents import Document, read_documents

_REPOSITORY = Path(__file__).parents[3]
_DATA = Path(os.environ.get("MAINSTEM_TEST_DATA", _REPOSITORY.parent / "shared" / "data")) / "backstage-catalogs"

pytestmark = pytest.mark.skipif(not _DATA.is_dir(), reason="the catalogues are not on this machine")


def _expected() -> dict[str, Any]:
    path = _DATA / "expected.json"
    return json.loads(path.read_bytes())["files"] if path.exists() else {}


def _found(document: Document) -> tuple[bool, str | None]:
    if document.entity is None:
        return False, None
    entity = received(document.entity)
    is_accepted = not faults(entity, complete=True)
    metadata = entity["metadata"]
    return is_accepted, f"{entity['kind']}:{metadata['namespace']}/{metadata['name']}".lower()


@pytest.mark.parametrize("file", _expected())
def test_a_real_file_has_the_entities_and_verdicts_that_backstage_finds(file):
    expected = _expected()[file]
    documents = read_documents(file, (_DATA / file).read_bytes())
    assert len(documents) == expected["documents"]
    assert [_found(document) for document in documents] == [
        (entity["accepted"], entity["entityRef"]) for entity in expected["entities"]
    ]


def test_there_are_578_entities():
    assert sum(len(file["entities"]) for file in _expected().values()) == 578


def test_every_entity_that_is_whole_is_also_a_part():
    refused = [
        (file, document.line)
        for file in _expected()
        for document in read_documents(file, (_DATA / file).read_bytes())
        if document.entity is not None
        and not faults(received(document.entity), complete=True)
        and faults(received(document.entity), complete=False)
    ]
    assert refused == []
