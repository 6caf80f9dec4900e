"""What a run has taken and not saved yet. Pages that published nothing are saved together: to read one of them again
costs nothing else, and saving each by itself takes as long as comparing it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sources.base import Page
from sources.ledger import Compared, Entry
from sources.sifting import Sifted
from sources.states import Counts, Progress

SAVED_WITHIN_SECONDS: Final = 0.25
"""For how long a page that published nothing waits to be saved."""
MOST_REFS: Final = 50_000
"""No more entities wait, however fast they come."""


@dataclass(slots=True)
class Unsaved:
    """The pages that wait, joined. Each entity once: see :meth:`knows`."""

    progress: Progress | None = None
    counts: Counts = field(default_factory=Counts)
    entries: list[Entry] = field(default_factory=list)
    """What was published and acknowledged."""
    seen: dict[str, str] = field(default_factory=dict)
    """Reference → scope of what was met and not published."""
    withdrawn: list[str] = field(default_factory=list)
    compared: Compared = field(default_factory=lambda: Compared({}, {}))
    _refs: set[str] = field(default_factory=set)
    _since: float = 0.0

    def add(self, page: Page, sifted: Sifted, compared: Compared, refs: Sequence[str]) -> None:
        """Add *page*, which held *refs*: all that it published is acknowledged."""
        progress = Progress(
            cursor=page.cursor,
            total=page.total,
            guarded=sifted.guarded,
            unread=page.unread,
            covers=page.covers,
            has_duplicates=sifted.again > 0,
        )
        if self.progress is None:
            self.progress, self._since = progress, time.monotonic()
        else:
            self.progress = _joined(self.progress, progress)
        self.counts += _counts(page, sifted)
        self.entries += (each.entry for each in sifted.prepared)
        self.seen |= sifted.seen
        self.seen |= sifted.spared
        self.withdrawn += sifted.withdrawn
        self.compared.other.update(compared.other)
        for chunk, bits in compared.same.items():
            self.compared.same[chunk] = self.compared.same.get(chunk, 0) | bits
        self._refs.update(refs)

    def knows(self, refs: Sequence[str]) -> bool:
        """Whether one of *refs* waits: the ledger would not say that the run has seen it."""
        return not self._refs.isdisjoint(refs)

    @property
    def is_due(self) -> bool:
        """Whether what waits is to be saved now."""
        return bool(self.entries) or len(self._refs) >= MOST_REFS or self.seconds_left == 0

    @property
    def seconds_left(self) -> float | None:
        """For so long what waits may go on waiting; None where nothing does."""
        return None if self.progress is None else max(0.0, self._since + SAVED_WITHIN_SECONDS - time.monotonic())


def _joined(before: Progress, after: Progress) -> Progress:
    """Return where a run stands after both."""
    return replace(
        after,
        total=before.total if after.total is None else after.total,
        guarded={*before.guarded, *after.guarded},
        unread={**before.unread, **after.unread},
        covers=[*before.covers, *after.covers],
        has_duplicates=before.has_duplicates or after.has_duplicates,
    )


def _counts(page: Page, sifted: Sifted) -> Counts:
    return Counts(
        pages=1,
        entities=sifted.fresh,
        published=len(sifted.prepared),
        unchanged=sifted.unchanged,
        filtered=sifted.filtered,
        refused=len(sifted.refusals),
        left_out=page.left_out,
    )
