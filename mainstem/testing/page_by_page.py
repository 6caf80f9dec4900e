"""Reads a source page by page, as the runner does, and notes what came."""

import asyncio
import gc
import json
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from schemas.errors import Skippable, SourceError
from sources.base import Cursor, Page, Source
from sources.publisher import draft

PATIENCE_SECONDS: Final = 5.0
"""How long a connection that was closed may take to be gone, the far end of it included."""
SETTLING_SECONDS: Final = 0.2
"""How long what an earlier run closed is given before what is open is counted."""
STOPPED_AFTER_SECONDS: Final = 0.003
"""Long enough to have begun with a page."""
MOST_PAGES: Final = 10_000
"""A run of more pages than this never ends."""

Act = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a source gave from one cursor on: its pages, and the error that ended it."""

    pages: Sequence[Page]
    error: SourceError | None = None

    @property
    def refs(self) -> list[str]:
        """The entity of each item, in the order of the run."""
        return [ref for page in self.pages for ref in refs_of(page)]


def read(source: Source, cursor: Cursor | None = None, *, at_most: int = MOST_PAGES) -> Run:
    """Read what comes after *cursor*, and close the generator after *at_most* pages."""
    return asyncio.run(_read(source.pages(cursor), at_most))


def read_changes(source: Source, since: Cursor) -> Run | None:
    """Read what changed after *since*; None where the source cannot tell."""

    async def reading() -> Run | None:
        generator = source.changes(since)
        return None if generator is None else await _read(generator, MOST_PAGES)

    return asyncio.run(reading())


def saved(cursor: Cursor | None) -> Cursor | None:
    """Return *cursor* as it comes back from the database. Raises AssertionError for what would not."""
    if cursor is None:
        return None
    try:
        text = json.dumps(cursor, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"a cursor is kept as JSON, and this one is none: {error}") from None
    assert "\\u0000" not in text, "a cursor is kept in Postgres, which takes no U+0000 in a text"
    again: Cursor = json.loads(text)
    assert again == cursor, f"a cursor changes when it is kept as JSON: {cursor} comes back as {again}"
    return again


def refs_of(page: Page) -> list[str]:
    """Return the entity of each item. Raises AssertionError for an item that is no change."""
    found = []
    for item in page.items:
        try:
            found.append(draft(item.change, "kit").entity_ref)
        except Skippable as error:
            raise AssertionError(f"{item.place}: what the source brings is no change: {error}") from None
    return found


def told(page: Page) -> object:
    """Return what must be the same when *page* is asked for twice: all of it but the time at which it was read."""
    items = [
        (each.place, each.scope, {key: value for key, value in each.change.items() if key != "observedAt"})
        for each in page.items
    ]
    refused = [(each.place, each.scope, each.reason) for each in page.refused]
    return items, refused, page.cursor, page.total, page.left_out, dict(page.unread)


def left_open_by(acts: Mapping[str, Act]) -> str:
    """Return which of *acts* left what open, as a sentence; nothing if all is closed again after a while."""

    async def watching() -> str:
        with warnings.catch_warnings(record=True) as forgotten:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", ResourceWarning)
            for act in acts.values():
                await act()  # the first time opens what stays for good, such as a thread
            await asyncio.sleep(SETTLING_SECONDS)
            gc.collect()
            forgotten.clear()
            for when, act in acts.items():
                if left := await _left_by(act, forgotten):
                    return f"{when} leaves {left} open"
            return ""

    return asyncio.run(watching())


async def _left_by(act: Act, forgotten: Sequence[warnings.WarningMessage]) -> str:
    before = _open_files()
    await act()
    tasks, files = await _still_open(before)
    gc.collect()
    return " and ".join(
        [f"{tasks} tasks"] * (tasks > 0)
        + [f"{files} sockets or files"] * (files > 0)
        + sorted({f"what Python had to close itself ({each.message})" for each in forgotten})
    )


async def _read(generator: AsyncGenerator[Page], at_most: int) -> Run:
    pages: list[Page] = []
    async with aclosing(generator) as given:
        while len(pages) < at_most:
            try:
                page = await asyncio.create_task(_next(given))
            except SourceError as error:
                return Run(pages=pages, error=error)
            if page is None:
                return Run(pages=pages)
            pages.append(page)
    assert at_most < MOST_PAGES, f"the source gave {MOST_PAGES} pages and goes on"
    return Run(pages=pages)


async def consume(source: Source, at_most: int, *, is_stopped: bool = False) -> None:
    """Take *at_most* pages, or up to an error, and close the generator; *is_stopped*: while it reads one more."""
    async with aclosing(source.pages(None)) as given:
        with suppress(SourceError):
            for _ in range(at_most):
                if await asyncio.create_task(_next(given)) is None:
                    return
            if is_stopped:
                coming = asyncio.create_task(_next(given))
                await asyncio.sleep(STOPPED_AFTER_SECONDS)
                coming.cancel()
                with suppress(asyncio.CancelledError):
                    await coming


async def _next(generator: AsyncGenerator[Page]) -> Page | None:
    """Ask for a page. It is done in a task of its own each time, as the runner does."""
    return await anext(generator, None)


async def _still_open(before: int) -> tuple[int, int]:
    """Return how many tasks, and how many files beyond *before*, are still open when the patience is over; or none.

    None at one look is enough: a far end in this process may take a connection, and drop it, after it was closed here.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        tasks, files = _open_tasks(), max(0, _open_files() - before)
        if tasks == files == 0 or time.monotonic() > deadline:
            return tasks, files
        await asyncio.sleep(0.01)


def _open_tasks() -> int:
    return len(asyncio.all_tasks()) - 1


def _open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())
