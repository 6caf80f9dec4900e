"""`mainstem publish`: descriptor files, or standard input, as changes of one connector."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from mainstem.commands.options import ConfigOption, DataDirOption, JsonOption, opened
from mainstem.commands.progress import RecordsBar
from mainstem.installation import DEFAULT_DATA_DIR, Installation
from mainstem.log import warn
from mainstem.terminal import visible
from schemas.changes import FIELDS
from schemas.errors import ConfigError, Skippable
from schemas.facts import meant_by, slips
from schemas.refs import DEFAULT_TENANT
from schemas.topics import CONNECTOR_ID, require
from sources.documents import Document, read_documents
from sources.publisher import Draft, Publisher, Receipt, draft

STDIN: Final = "-"
BATCH: Final = 500
MAX_BYTES: Final = 256_000_000
"""Of one file: it is read as a whole."""
_DELETE: Final = "--delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A change to publish, and where it was written: `FILE:LINE`, or the option that asked for it."""

    place: str
    draft: Draft


def publish(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="YAML or JSON, any number of documents; - is standard input."),
    ] = None,
    *,
    connector: Annotated[str, typer.Option("--connector", metavar="ID", help="The connector that says so.")],
    delete: Annotated[
        list[str] | None, typer.Option(_DELETE, metavar="REF", help="Delete kind:namespace/name; repeatable.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept a part of an entity: other connectors bring the rest.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and publish nothing.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
) -> None:
    """Publish entities from files as changes, each acknowledged by Kafka before it is printed.

    A document is a Backstage descriptor, or a whole change (with `entity`, and `service` if need be). Refused
    documents are listed on standard error, the others are published, and the exit code is 1.

    Examples:
      mainstem publish --connector team-pay catalog-info.yaml
      mainstem publish --connector team-pay --delete component:default/pay
      kubectl get … -o yaml | mainstem publish --connector k8s --partial -
    """
    if not CONNECTOR_ID.fullmatch(connector):
        raise ConfigError(f"--connector {connector}: a connector id is 1 to 63 of a-z, 0-9 and '-'")
    if not files and not delete:
        files = _standard_input()
    installation = opened(config, data_dir)
    _warn_of_runs(installation, connector)
    desk = _Desk(installation, connector, is_partial=partial)
    accepted = [*desk.entities(files or []), *desk.deletes(delete or [])]
    if not accepted and not desk.refused:
        read = ", ".join("standard input" if name == STDIN else name for name in files or [])
        raise ConfigError(f"nothing to publish: there is no document in {read}; name files, or --delete REF")
    for place, receipt in _published(accepted, installation, connector, dry_run=dry_run):
        typer.echo(_row(place, receipt, as_json=as_json))
    if desk.refused:
        raise typer.Exit(1)


class _Desk:
    """Checks what is to be published as the processor will, and tells what it refuses."""

    def __init__(self, installation: Installation, connector: str, *, is_partial: bool) -> None:
        configured = installation.config.connector(connector)
        self._connector = connector
        self._tenant = configured.tenant if configured else DEFAULT_TENANT
        self._takes_parts = not (configured and configured.is_complete)
        is_lenient = is_partial or (configured is not None and configured.complete is False)
        self._is_complete = not (self._takes_parts and is_lenient)
        self.refused = 0

    def entities(self, files: Iterable[str]) -> Iterator[Placed]:
        for name in files:
            try:
                data = _read(name)
            except OSError as error:
                self._refuse(name, error.strerror or "cannot be read")
                continue
            if len(data) > MAX_BYTES:
                self._refuse(name, f"holds more than {MAX_BYTES:,} bytes; publish it in parts")
                continue
            for document in read_documents(name, data):
                place = f"{document.file}:{document.line}"
                if document.entity is None:
                    self._refuse(place, document.error or "not readable")
                else:
                    yield from self._written(place, _as_change(document))

    def _written(self, place: str, change: dict[str, Any]) -> Iterator[Placed]:
        """A change may carry what nobody reads. Where it was typed by hand, what is nearly a field of it is a slip: it
        would be published without, and so take away what the connector said there before.
        """
        unknown = {name: meant_by(name, FIELDS) for name in sorted(change.keys() - {*FIELDS})}
        slip = next((name for name, meant in unknown.items() if meant not in {None, *change}), None)
        if slip is not None:
            self._refuse(place, f"{visible(slip)} is no field of a change; did you mean {unknown[slip]}?")
            return
        for name in unknown:
            warn(f"{place}: {visible(name)} is ignored; the fields of a change are: {', '.join(FIELDS)}")
        for key, meant in slips(change.get("service")):
            warn(f"{place}: service.{visible(key)} is kept as a key of your own; did you mean {meant}?")
        yield from self._checked(place, change)

    def deletes(self, refs: Iterable[str]) -> Iterator[Placed]:
        for ref in refs:
            yield from self._checked(_DELETE, {"op": "delete", "entityRef": ref})

    def _checked(self, place: str, change: dict[str, Any]) -> Iterator[Placed]:
        try:
            made = draft(change, self._connector, tenant=self._tenant, is_complete=self._is_complete)
        except Skippable as error:
            hint = f"; {self._of_parts()}" if self._is_part(change) else ""
            self._refuse(place, f"{error}{hint}")
        else:
            yield Placed(place=place, draft=made)

    def _is_part(self, change: dict[str, Any]) -> bool:
        """Whether *change* was refused for nothing but not being whole."""
        if not self._is_complete:
            return False
        try:
            draft(change, self._connector, tenant=self._tenant)
        except Skippable:
            return False
        return True

    def _of_parts(self) -> str:
        if self._takes_parts:
            return "--partial takes it as a part, of which others bring the rest"
        return f"connector {self._connector} takes whole entities alone (connectors[].complete), with --partial as well"

    def _refuse(self, place: str, reason: str) -> None:
        self.refused += 1
        sys.stderr.write(f"{place}: {reason}\n")


def _read(name: str) -> bytes:
    """Return the content, of what is too long only enough to see that it is. Raises OSError."""
    if name == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _warn_of_runs(installation: Installation, connector: str) -> None:
    """A run compares with what runs published: what takes the place of that stays until the source says otherwise."""
    configured = installation.config.connector(connector)
    if configured is not None and configured.type != "external":
        undo = f"`mainstem connectors sync {connector}` brings it back"
        warn(f"connector {connector} is of type {configured.type}: this replaces what its runs said; {undo}")


def _as_change(document: Document) -> dict[str, Any]:
    entity = document.entity or {}
    is_change = "kind" not in entity and ("entity" in entity or entity.get("op") == "delete")
    return entity if is_change else {"entity": entity}


def _published(
    accepted: list[Placed], installation: Installation, connector: str, *, dry_run: bool
) -> Iterator[tuple[str, Receipt | str]]:
    if dry_run:
        yield from ((each.place, each.draft.entity_ref) for each in accepted)
        return
    if not accepted:
        return
    topic = installation.existing_changes(connector)
    require(installation.topics.changes_definition(connector), topic)
    publisher = Publisher(installation.client, topic.name)
    with RecordsBar("publishing", len(accepted)) as bar:
        for batch in _batches(in_succession(accepted)):
            receipts = publisher.publish(each.draft for each in batch)
            yield from ((each.place, receipt) for each, receipt in zip(batch, receipts, strict=True))
            bar.advance(len(batch))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def in_succession(accepted: Iterable[Placed], *, clock_ms: Callable[[], int] = _now_ms) -> Iterator[Placed]:
    """Give each change the time at which it is taken, of one entity each at least a millisecond after the one before.

    What says neither `version` nor `observedAt` is ordered by it: without it, the hash of the content would decide
    between changes of the same millisecond, and not which of them was written last.
    """
    latest: dict[str, int] = {}
    for each in accepted:
        ref = each.draft.entity_ref
        latest[ref] = max(clock_ms(), latest.get(ref, 0) + 1)
        yield replace(each, draft=replace(each.draft, timestamp=latest[ref]))


def _batches(changes: Iterator[Placed]) -> Iterator[list[Placed]]:
    while batch := list(islice(changes, BATCH)):
        yield batch


def _row(place: str, receipt: Receipt | str, *, as_json: bool) -> str:
    if isinstance(receipt, str):
        row = {"place": place, "entity_ref": receipt}
        return orjson.dumps(row).decode() if as_json else f"{place} {receipt} accepted, not published"
    if as_json:
        return orjson.dumps({"place": place, **asdict(receipt)}).decode()
    return f"{place} {receipt.entity_ref} partition {receipt.partition} offset {receipt.offset}"


def _standard_input() -> list[str]:
    if sys.stdin.isatty():
        raise ConfigError("nothing to publish: name files, --delete REF, or pipe documents into standard input")
    return [STDIN]
