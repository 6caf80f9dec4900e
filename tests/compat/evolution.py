"""The rules by which schemas may change, checked over a directory of them."""

import hashlib
import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import fastavro
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse
from fastavro.utils import generate_many

_HEADS = {
    "Records.avsc": [("version", "long")],
    "MergedEntity.avsc": [("tenant", "string"), ("entityRef", "string"), ("version", "long")],
}


def faults(directory: Path, kept: dict[str, str]) -> list[str]:
    """Return a sentence for each rule that the schemas in *directory* break. *kept*: what each id ever stood for."""
    ids = {int(known): file for known, file in json.loads((directory / "ids.json").read_text()).items()}
    found = [f"{file} is in no version of ids.json" for file in unnamed(directory, set(ids.values()))]
    found += [f"id {known} is no longer in ids.json" for known in kept if int(known) not in ids]
    for wire_id, file in ids.items():
        meaning = kept.get(str(wire_id))
        if meaning is None:
            found.append(f"id {wire_id} is not in schemas.json: add it there, {meaning_of(directory / file)}")
        elif meaning != meaning_of(directory / file):
            found.append(
                f"{file} is not what id {wire_id} stood for: keep that as history/{record_of(file)}.{wire_id}.avsc"
                f" under its id, and give the new schema an id of its own"
            )
    for record in sorted({record_of(file) for file in ids.values()}):
        versions = [directory / ids[wire_id] for wire_id in sorted(ids) if record_of(ids[wire_id]) == record]
        found += misreadings(versions)
    for file, wanted in _HEADS.items():
        head = [(field["name"], field["type"]) for field in json.loads((directory / file).read_text())["fields"]]
        if head[: len(wanted)] != wanted:
            found.append(f"{file}: version is read without the rest, so it stays behind what is before it, a long")
    return found


def misreadings(versions: list[Path]) -> list[str]:
    """Every later version reads all earlier ones; and each reads its successor, for upgrades that are rolled."""
    pairs = [(reader, writer) for number, reader in enumerate(versions) for writer in versions[:number]]
    pairs += list(pairwise(versions))
    return [
        f"{reader.name} cannot read what {writer.name} wrote" for reader, writer in pairs if not reads(reader, writer)
    ]


def reads(reader: Path, writer: Path) -> bool:
    checker = ReaderWriterCompatibilityChecker()
    found = checker.get_compatibility(parse(reader.read_text()), parse(writer.read_text()))
    return found.compatibility is SchemaCompatibilityType.compatible and resolves(reader, writer)


def resolves(reader: Path, writer: Path) -> bool:
    """Whether the library that Mainstem uses agrees, on values of the writer."""
    written, wanted = (fastavro.parse_schema(json.loads(path.read_text())) for path in (writer, reader))
    try:
        for value in generate_many(written, 20):
            fastavro.schemaless_reader(encoded(written, value), written, wanted)
    except (fastavro.read.SchemaResolutionError, ValueError, TypeError, KeyError):
        return False
    return True


def encoded(schema: Any, value: Any) -> Any:

    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, value)
    buffer.seek(0)
    return buffer


def meaning_of(file: Path) -> str:
    """Return a hash of all in a schema that decides how bytes are read; its descriptions do not."""
    text = json.dumps(described_nowhere(json.loads(file.read_text())), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def described_nowhere(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: described_nowhere(value) for key, value in node.items() if key != "doc"}
    return [described_nowhere(each) for each in node] if isinstance(node, list) else node


def record_of(file: str) -> str:
    return Path(file).name.partition(".")[0]


def unnamed(directory: Path, named: set[str]) -> list[str]:
    found = {str(path.relative_to(directory)) for path in directory.rglob("*.avsc")}
    return sorted(found - named)
