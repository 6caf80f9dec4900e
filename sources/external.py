"""Type `external`: others publish to the connector's topic, nothing runs here."""

from collections.abc import AsyncGenerator
from typing import ClassVar

from sources.base import Cursor, Page, Source


class ExternalSource(Source):
    """A connector whose changes come from somewhere else."""

    runs_here: ClassVar[bool] = False

    async def pages(self, cursor: Cursor | None) -> AsyncGenerator[Page]:
        """Yield nothing: who publishes to the topic knows what is there."""
        del cursor
        return
        yield
