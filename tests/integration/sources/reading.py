"""A source and what it reads, as the runner would ask for it."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sources.base import Cursor, Page, SourceSettings
from sources.git import GitSource

ENTITY = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: %s}\n"


def entity(name: str, description: str = "") -> str:
    return ENTITY % name + (f"spec: {{type: {description}}}\n" if description else "")


def source(connection: Mapping[str, Any], home: Path, *, secret: str = "", chunk_size: int = 50) -> GitSource:
    """Return a source whose copies lie below *home*, as another process would make it of the same configuration."""
    settings = SourceSettings(
        connector="git",
        connection=connection,
        base_dir=home,
        data_dir=home / "data",
        chunk_size=chunk_size,
        secret=lambda _: secret,
    )
    return GitSource(settings)


def all_of(reader: GitSource, cursor: Cursor | None = None) -> list[Page]:
    return asyncio.run(_collected(reader, cursor))


async def _collected(reader: GitSource, cursor: Cursor | None) -> list[Page]:
    return [each async for each in reader.pages(cursor)]


def since(reader: GitSource, cursor: Cursor) -> list[Page]:
    return asyncio.run(_changed(reader, cursor))


async def _changed(reader: GitSource, cursor: Cursor) -> list[Page]:
    changes = reader.changes(cursor)
    assert changes is not None
    return [each async for each in changes]


def names(pages: Iterable[Page]) -> list[str]:
    return [item.change["entity"]["metadata"]["name"] for each in pages for item in each.items]


def covers(pages: Iterable[Page]) -> list[str]:
    return sorted(scope for each in pages for scope in each.covers)


def refusals(pages: Iterable[Page]) -> list[tuple[str, str]]:
    return [(each.place, each.reason) for one in pages for each in one.refused]
