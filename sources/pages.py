"""The pages of a source, two ahead of whoever takes them; a source that hangs, or never ends, is stopped."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from hashlib import blake2b
from typing import Final, Generic, TypeVar

import orjson

from schemas.errors import EndlessSourceError, SourceUnreachableError
from sources.base import Cursor, Page
from sources.leases import DATABASE_AWAY

PATIENCE_SECONDS: Final = 300.0
"""How long a source may take for one page."""
_AHEAD: Final = 2
"""One page is ready, or looked through, and the next is read: neither the source nor Postgres waits for the other."""
_TURNS: Final = 4
"""For so many turns of the loop a page waits to be looked through. By then the source has sent its next question, and
whoever waited for Postgres has gone on: neither is kept waiting meanwhile."""
BARREN_PAGES: Final = 3
"""After so many equal pages in a row that hold only what the run has seen, a source is taken to repeat itself."""
EMPTY_PAGES: Final = 10_000
"""So many pages in a row without anything new are no system's."""


T = TypeVar("T")


class PageReader(Generic[T]):
    """Reads *generator*, and gives what *sight* makes of each page: that too is done ahead.

    Call :meth:`close` at the end, whatever happened.
    """

    def __init__(
        self, generator: AsyncGenerator[Page], sight: Callable[[Page], T], *, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._generator, self._sight = generator, sight
        self._patience = patience
        self._given = asyncio.Queue[Page | Exception | None]()
        self._ready = asyncio.Queue[T | Exception | None]()
        self._room = asyncio.Semaphore(_AHEAD)
        self._reading: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def next(self) -> T | None:
        """Return the next page, None after the last one. Raises what the source raised. Not to be called after that."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._break_off)
            self._looking = asyncio.create_task(self._look())
        page = await self._ready.get()
        self._room.release()
        if isinstance(page, Exception):
            raise page
        return page

    async def close(self) -> None:
        for task in (self._reading, self._looking):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        with suppress(Exception):
            await self._generator.aclose()

    async def _read(self) -> None:
        while True:
            await self._room.acquire()
            given: Page | Exception | None
            try:
                given = await self._next()
            except Exception as error:  # noqa: BLE001 - whoever takes the pages is told of it, after those before it
                given = error
            self._given.put_nowait(given)
            if not isinstance(given, Page):
                return

    async def _look(self) -> None:
        """Look through what was read, while the source is asked for the next. (It is asked by one task alone: what it
        opens over several pages it may have to close in the same one.)
        """
        while isinstance(given := await self._given.get(), Page):
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            try:
                self._ready.put_nowait(self._sight(given))
            except Exception as error:  # noqa: BLE001 - as above
                self._ready.put_nowait(error)
                return
        self._ready.put_nowait(given)

    def _break_off(self, reading: "asyncio.Task[None]") -> None:
        # Where a source lets something of its own be cancelled, nothing would come, and be waited for.
        if reading.cancelled():
            broken = "the source broke off: something within it was cancelled"
            self._given.put_nowait(SourceUnreachableError(broken))

    async def _next(self) -> Page | None:
        try:
            async with asyncio.timeout(self._patience) as patience:
                return await anext(self._generator)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            if patience.expired():
                raise SourceUnreachableError(f"the source gave no page for {self._patience:.0f} s") from None
            raise
        except DATABASE_AWAY as error:
            # Of the source's own Postgres: ours, which a run waits for, says the same.
            raise SourceUnreachableError(f"the source's database is away ({type(error).__name__})") from error


class Treadmill:
    """Notices a source that goes round in circles, in constant memory."""

    def __init__(self, cursor: Cursor | None) -> None:
        self._mark = _digest(cursor)
        self._steps, self._power = 0, 1
        self._barren = self._empty = 0
        self._page: bytes | None = None

    def look(self, page: Page, *, fresh: int, again: int) -> None:
        """*fresh*: entities of the page that the run had not seen; *again*: those that it had.

        Raises EndlessSourceError once the source can only be repeating itself.
        """
        if fresh:
            self._barren = self._empty = 0
        else:
            self._empty += 1
        if again and not fresh:
            # Other pages of what was seen are copies: two directories may hold the same entities.
            before, self._page = self._page, _digest([(each.place, each.change) for each in page.items])
            self._barren = self._barren + 1 if before == self._page else 1
        digest = _digest(page.cursor)
        is_marked = digest is not None and digest == self._mark
        if not fresh and is_marked and self._steps:
            raise EndlessSourceError("the source's cursors come again and again: following them would never end")
        if self._barren >= BARREN_PAGES or self._empty >= EMPTY_PAGES:
            raise EndlessSourceError("the source gives the same page again and again")
        # Brent's way to find a circle: compare with a place that is left behind ever more rarely.
        self._steps += 1
        if self._steps == self._power:
            self._mark, self._steps, self._power = digest, 0, self._power * 2


def _digest(said: object) -> bytes | None:
    if said is None:
        return None
    try:
        text = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        text = repr(said).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).digest()
