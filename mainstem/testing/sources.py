"""The promises that every source must keep, as checks for the connector type that you wrote.

```python
import pytest
from mainstem.testing.sources import PROMISES, SourceSuite

@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_my_source(promise, server):
    promise(SourceSuite(make=lambda: MySource(settings(server)), fill=server.fill, failing=server.failing))
```

A broken promise is an AssertionError that says what the source did.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from mainstem.testing.page_by_page import Act, Run, consume, left_open_by, read, read_changes, refs_of, saved, told
from sources.base import Cursor, Source

__all__ = ["CHANGES_PROMISES", "PROMISES", "SourceSuite"]

_PAGES: Final = 3
"""A run of fewer pages shows too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSuite:
    """A source and a system of its own, empty at the beginning of each promise."""

    make: Callable[[], Source]
    """Return a new source on that system, as a process that was started again would. It tries each request once,
    and its `chunk_size` is so small that what *fill* brings needs three pages or more."""
    fill: Callable[[], Collection[str]]
    """Put entities into the system. Return the refs of all that a run brings, such as `component:default/pay`."""
    failing: Callable[[int], AbstractContextManager[object]]
    """While it is entered, what page *k* of a run needs cannot be had; the first page is 0. Those before it can."""
    alter: Callable[[], Collection[str]] | None = None
    """For CHANGES_PROMISES: change something in the filled system and return the refs that it concerns."""


def pages_bring_every_entity_once(suite: SourceSuite) -> None:
    """A run brings each entity of the system exactly once, as a change that can be published."""
    expected = set(suite.fill())
    run = _whole(suite)
    refused = [f"{each.place}: {each.reason}" for page in run.pages for each in page.refused]
    assert not refused, f"the source refuses what the system holds: {refused}"
    unread = [f"{scope}: {why}" for page in run.pages for scope, why in page.unread.items()]
    assert not unread, f"the source says that it could not read everything: {unread}"
    missing, strange = sorted(expected - set(run.refs)), sorted(set(run.refs) - expected)
    assert not missing, f"a whole run does not bring {missing}: they would be deleted"
    assert not strange, f"a whole run brings what the system does not hold: {strange}"
    twice = sorted({ref for ref in run.refs if run.refs.count(ref) > 1})
    assert not twice, f"a whole run brings {twice} more than once"
    _check_total(run)


def pages_come_in_a_stable_order(suite: SourceSuite) -> None:
    """Two runs over a system in which nothing changes bring the same pages."""
    suite.fill()
    first, second = _whole(suite), _whole(suite)
    assert first.refs == second.refs, "a second run brings the entities in another order, though nothing changed"
    assert [page.cursor for page in first.pages] == [page.cursor for page in second.pages], (
        "a second run brings other cursors, though nothing changed"
    )


def cursors_are_kept_as_json(suite: SourceSuite) -> None:
    """A cursor survives the database, and no two pages of a run share one: following it would never end."""
    suite.fill()
    cursors = [cursor for page in _whole(suite).pages if (cursor := saved(page.cursor)) is not None]
    repeated = [cursor for place, cursor in enumerate(cursors) if cursor in cursors[:place]]
    assert not repeated, f"two pages of a run have the same cursor: {repeated[0]}"


def a_run_resumes_after_every_page(suite: SourceSuite) -> None:
    """From the cursor of any page, another process reads all that came after it, and nothing else."""
    suite.fill()
    run = _whole(suite)
    for number, page in enumerate(run.pages):
        if page.cursor is None:
            continue
        resumed = _complete(read(suite.make(), saved(page.cursor)), f"resumed after page {number}")
        expected = [ref for later in run.pages[number + 1 :] for ref in refs_of(later)]
        skipped = sorted(set(expected) - set(resumed.refs))
        assert not skipped, f"a run that is resumed after page {number} skips {skipped}"
        assert resumed.refs == expected, (
            f"a run that is resumed after page {number} brings not the rest, but {resumed.refs}"
        )


def a_page_asked_for_twice_is_the_same(suite: SourceSuite) -> None:
    """The process may end before Kafka has answered: the page is read again, from the cursor before it."""
    suite.fill()
    before: Cursor | None = None
    for number, page in enumerate(_whole(suite).pages):
        source = suite.make()
        for _ in range(2):
            again = read(source, before, at_most=1).pages
            assert again, f"page {number} is not there when it is asked for again"
            assert told(again[0]) == told(page), f"page {number} is another one when it is asked for again"
        if page.cursor is None:
            return
        before = saved(page.cursor)


def an_empty_system_is_no_error(suite: SourceSuite) -> None:
    """A system that holds nothing ends the run without an item; whether that is believed is the runner's to say."""
    run = _complete(read(suite.make()), "over an empty system")
    assert not run.refs, f"an empty system brings {run.refs}"
    refused = [each.place for page in run.pages for each in page.refused]
    assert not refused, f"an empty system holds nothing to refuse: {refused}"


def a_page_that_fails_never_ends_a_run_as_if_it_were_complete(suite: SourceSuite) -> None:
    """Whichever page fails, the run raises, and goes on from the last cursor once the system is well again."""
    suite.fill()
    run = _whole(suite)
    for number in range(len(run.pages)):
        with suite.failing(number):
            failed = read(suite.make())
        assert failed.error is not None, (
            f"page {number} failed and the run ended as if it were complete: what was not read would be deleted"
        )
        assert len(failed.pages) <= number, f"page {number} failed, and the run brought {len(failed.pages)} pages"
        came = [told(page) for page in failed.pages]
        assert came == [told(page) for page in run.pages[: len(came)]], (
            f"before page {number} failed, other pages came than in a run in which none fails"
        )
        last = saved(failed.pages[-1].cursor) if failed.pages else None
        rest = _complete(read(suite.make(), last), f"after page {number} had failed")
        missing = sorted(set(run.refs) - set(failed.refs) - set(rest.refs))
        assert not missing, f"after page {number} had failed, the run went on without {missing}"


def a_source_is_made_while_its_system_is_away(suite: SourceSuite) -> None:
    """`__init__` asks the system nothing; the first page does, and its error is of the branch SourceError."""
    with suite.failing(0):
        source = suite.make()
        error = read(source).error
    assert error is not None, "the system is away, and a run ends as if it held nothing"


def a_run_that_is_closed_leaves_nothing_open(suite: SourceSuite) -> None:
    """The runner may close the generator after any page, or while one is read; a run that failed is closed too."""
    suite.fill()
    pages = len(_whole(suite).pages)

    def act(at_most: int, *, is_stopped: bool = False) -> Act:
        return lambda: consume(suite.make(), at_most, is_stopped=is_stopped)

    closed = {f"a run that is closed after page {number}": act(number + 1) for number in range(pages)}
    stopped = {f"a run that is stopped in page {number}": act(number, is_stopped=True) for number in range(pages)}
    left = left_open_by({**closed, **stopped, "a run that came to its end": act(pages + 1)})
    assert not left, left
    with suite.failing(pages - 1):
        left = left_open_by({"a run that failed": act(pages)})
    assert not left, left


def changes_bring_what_changed(suite: SourceSuite) -> None:
    """`changes` from the end of a run brings what has changed since then; and nothing, when nothing has."""
    if suite.alter is None:
        raise TypeError("CHANGES_PROMISES need SourceSuite(alter=…)")
    held = set(suite.fill())
    since = saved(_whole(suite).pages[-1].cursor)
    assert since is not None, "a source with `changes` needs a cursor on the last page of a run"
    idle = _changes(suite, since)
    assert not idle.refs, f"nothing changed, and `changes` brings {idle.refs}"
    altered = set(suite.alter())
    changed = _changes(suite, since)
    missing, strange = sorted(altered - set(changed.refs)), sorted(set(changed.refs) - held - altered)
    assert not missing, f"`changes` does not bring {missing}"
    assert not strange, f"`changes` brings {strange}, which the system never held"
    for page in changed.pages:
        saved(page.cursor)


def changes_that_cannot_be_had_raise(suite: SourceSuite) -> None:
    """While the system is away, `changes` raises: ending would say that nothing changed."""
    suite.fill()
    since = saved(_whole(suite).pages[-1].cursor)
    assert since is not None, "a source with `changes` needs a cursor on the last page of a run"
    with suite.failing(0):
        run = read_changes(suite.make(), since)
    assert run is not None, "`changes` returns None, so that the source does not offer it"
    assert run.error is not None, "the system is away, and `changes` ends as if nothing had changed"


PROMISES: Final = (
    pages_bring_every_entity_once,
    pages_come_in_a_stable_order,
    cursors_are_kept_as_json,
    a_run_resumes_after_every_page,
    a_page_asked_for_twice_is_the_same,
    an_empty_system_is_no_error,
    a_page_that_fails_never_ends_a_run_as_if_it_were_complete,
    a_source_is_made_while_its_system_is_away,
    a_run_that_is_closed_leaves_nothing_open,
)
"""What any source must keep: each is called with a SourceSuite of its own."""
CHANGES_PROMISES: Final = (changes_bring_what_changed, changes_that_cannot_be_had_raise)
"""What a source must keep that offers `changes`."""


def _whole(suite: SourceSuite) -> Run:
    run = _complete(read(suite.make()), "over the filled system")
    if len(run.pages) < _PAGES:
        raise TypeError(
            f"a run brought {len(run.pages)} pages, and the kit needs {_PAGES}: fill in more, or lower chunk_size"
        )
    return run


def _complete(run: Run, which: str) -> Run:
    if run.error is not None:
        raise AssertionError(f"a run {which} fails: {run.error}") from run.error
    return run


def _changes(suite: SourceSuite, since: Cursor) -> Run:
    run = read_changes(suite.make(), since)
    assert run is not None, "`changes` returns None, so that the source does not offer it"
    return _complete(run, "of `changes`")


def _check_total(run: Run) -> None:
    totals = [page.total for page in run.pages if page.total is not None]
    seen = len(run.refs) + sum(page.left_out for page in run.pages)
    assert not totals or totals[-1] <= seen, (
        f"the source says that a run brings {totals[-1]} entities, and it brings {seen}: nothing would ever be deleted"
    )
