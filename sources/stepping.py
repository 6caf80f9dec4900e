"""A blocking generator of pages, taken one by one in a thread."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator

from sources.base import Page


async def stepped(pages: Callable[[threading.Event], Generator[Page]]) -> AsyncGenerator[Page]:
    """Yield what *pages* yields. The event that it is given is set once nobody waits any more: it should end then.

    Whoever cancels does not wait for a step under way; the generator is closed when that step is over.
    """
    stop, busy = threading.Event(), threading.Lock()
    source = pages(stop)

    def step() -> Page | None:
        with busy:
            found = next(source, None)
        if stop.is_set():
            shut()
        return found

    def shut() -> None:
        # The step that holds the lock looks at the event after it let go: one of the two closes.
        if busy.acquire(blocking=False):
            try:
                source.close()
            finally:
                busy.release()

    try:
        while (page := await asyncio.to_thread(step)) is not None:
            yield page
    finally:
        stop.set()
        shut()
