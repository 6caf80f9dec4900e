"""The shipped kit for sources: right ones pass, and each way of being wrong is caught by a promise."""

import asyncio
import socket
from contextlib import contextmanager

import pytest

from mainstem.testing.sources import CHANGES_PROMISES, PROMISES, SourceSuite
from schemas.errors import ConfigError, SourceUnreachableError
from sources.base import Item, Page, Refused, Source, SourceSettings

SETTINGS = SourceSettings(connector="kit", chunk_size=2)
EVERY_PROMISE = PROMISES + CHANGES_PROMISES


class System:
    """Names and owners in memory, with a page that fails, and all that was ever opened."""

    def __init__(self):
        self.owners = {}
        self.revisions = {}
        self.fails_at = None
        self.asked = 0
        self.opened = []

    def fill(self):
        return {self.put(f"s{number}") for number in range(7)}

    def alter(self):
        return {self.put("s3"), self.put("s9")}

    def put(self, name):
        self.revisions[name] = len(self.revisions) + 100 * (name in self.revisions)
        self.owners[name] = f"team-{self.revisions[name]}"
        return f"component:default/{name}"

    @contextmanager
    def failing(self, page):
        self.fails_at = page
        yield
        self.fails_at = None

    def names(self, after, size):
        if self.fails_at is not None and sum(name <= after for name in self.owners) >= self.fails_at * size:
            raise SourceUnreachableError("away")
        return sorted(name for name in self.owners if name > after)[:size]


class Right(Source):
    """What is wrong is added below."""

    def __init__(self, system):
        super().__init__(SETTINGS)
        self.system = system

    async def pages(self, cursor):
        after = cursor["after"] if cursor else ""
        while names := self.system.names(after, self.settings.chunk_size):
            after = names[-1]
            yield self.page(names)

    def page(self, names, **fields):
        items = [self.item(name) for name in names]
        return Page(**{"items": items, "cursor": self.cursor(names[-1]), **fields})

    def cursor(self, name):
        return {"after": name, "revision": max(self.system.revisions.values())}

    def item(self, name):
        spec = {"owner": self.system.owners[name]}
        return Item(place=name, change={"entity": {**ENVELOPE, "metadata": {"name": name}, "spec": spec}})

    def changes(self, since):
        return self.changed(since["revision"])

    async def changed(self, revision):
        self.system.names("", 1)
        names = sorted(name for name, each in self.system.revisions.items() if each > revision)
        if names:
            yield self.page(names)


ENVELOPE = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component"}


class Forgets(Right):
    def page(self, names, **fields):
        return super().page(names, items=[self.item(name) for name in names if name != "s4"], **fields)


class Invents(Right):
    def item(self, name):
        return super().item("s0") if name == "s6" else super().item(name)

    def page(self, names, **fields):
        more = [Item(place="x", change={"op": "delete", "entityRef": "component:default/nobody"})] * (names[0] == "s0")
        return super().page(names, items=[*map(self.item, names), *more], **fields)


class BringsNoChange(Right):
    def item(self, name):
        return Item(place=name, change={"entity": {"metadata": {"name": name}}})


class Refuses(Right):
    def page(self, names, **fields):
        return super().page(names, refused=[Refused(place=names[0], reason="odd")], **fields)


class PromisesTooMuch(Right):
    def page(self, names, **fields):
        return super().page(names, total=8, **fields)


class CannotReadAll(Right):
    def page(self, names, **fields):
        return super().page(names, unread={"a": "forbidden"}, **fields)


class Shuffles(Right):
    def page(self, names, **fields):
        self.system.asked += 1
        return super().page(names[:: (-1) ** (self.system.asked // 3)], **fields)

    def cursor(self, name):
        del name
        return {"after": max(self.system.owners)}


class CountsItsCursors(Right):
    def cursor(self, name):
        self.system.asked += 1
        return {**super().cursor(name), "number": self.system.asked}


class CursorsAreNoJson(Right):
    def cursor(self, name):
        return {**super().cursor(name), "seen": {name}}


class CursorsOfTuples(Right):
    def cursor(self, name):
        return {**super().cursor(name), "position": (1, 2)}


class CursorsWithNul(Right):
    def cursor(self, name):
        return {**super().cursor(name), "position": "\0"}


class CursorsAreTheSame(Right):
    def cursor(self, name):
        return super().cursor(min("s3", name))


class CursorsBeginBehind(Right):
    """From its own cursor, it begins one too late."""

    async def pages(self, cursor):
        after = cursor["after"] + "5" if cursor else ""
        while names := self.system.names(after, 2):
            after = names[-1]
            yield self.page(names)

    def cursor(self, name):
        return super().cursor(f"s{int(name[1:]) + 1}")


class RepeatsTheLastPage(Right):
    def cursor(self, name):
        return super().cursor(f"s{int(name[1:]) - 1}")


class ForgetsWhatItGave(Right):
    """Gives each entity once in its life."""

    def page(self, names, **fields):
        names = [name for name in names if name not in self.given]
        self.given.update(names)
        return Page(items=[self.item(name) for name in names], cursor=self.cursor("s6"), **fields)

    def __init__(self, system):
        super().__init__(system)
        self.given = set()


class FailsWhenEmpty(Right):
    async def pages(self, cursor):
        if not self.system.owners:
            raise SourceUnreachableError("nothing there")
        async for page in super().pages(cursor):
            yield page


class EndsWhereItFails(Right):
    async def pages(self, cursor):
        try:
            async for page in super().pages(cursor):
                yield page
        except SourceUnreachableError:
            return


class SkipsWhatFails(Right):
    """Goes on behind the page that it could not read, and raises at the end."""

    async def pages(self, cursor):
        failed = None
        after = cursor["after"] if cursor else ""
        everything = sorted(name for name in self.system.owners if name > after)
        for place in range(0, len(everything), 2):
            names = everything[place : place + 2]
            try:
                self.system.names(everything[place - 1] if place else after, 2)
            except SourceUnreachableError as error:
                failed, self.system.fails_at = error, None
                continue
            yield self.page(names)
        if failed:
            raise failed


class AsksAtOnce(Right):
    def __init__(self, system):
        super().__init__(system)
        try:
            system.names("", 1)
        except SourceUnreachableError as error:
            raise ConfigError("away") from error


class LeavesATask(Right):
    async def pages(self, cursor):
        self.task = asyncio.create_task(asyncio.sleep(600))
        async for page in super().pages(cursor):
            yield page


class LeavesATaskWhenStopped(Right):
    async def pages(self, cursor):
        async for page in super().pages(cursor):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                self.task = asyncio.create_task(asyncio.sleep(600))
                raise
            yield page


class LeavesASocket(Right):
    async def pages(self, cursor):
        opened = socket.socketpair()
        self.system.opened.append(opened)
        async for page in super().pages(cursor):
            yield page
        for each in opened:
            each.close()


class LeavesItToPython(Right):
    async def pages(self, cursor):
        left, right = socket.socketpair()
        right.close()
        async for page in super().pages(cursor):
            yield page
        del left


class TellsOfNoChange(Right):
    def changes(self, since):
        del since


class ChangesAreForgotten(Right):
    async def changed(self, revision):
        async for page in super().changed(revision):
            yield Page(items=page.items[:1], cursor=page.cursor)


class ChangesAreEverything(Right):
    def changes(self, since):
        del since
        return self.pages(None)


class ChangesAreNoneWhenAway(Right):
    async def changed(self, revision):
        try:
            async for page in super().changed(revision):
                yield page
        except SourceUnreachableError:
            return


@pytest.fixture
def suite_of(monkeypatch):
    monkeypatch.setattr("mainstem.testing.page_by_page.PATIENCE_SECONDS", 0.3)
    systems = []

    def suite(kind):
        system = System()
        systems.append(system)
        return SourceSuite(make=lambda: kind(system), fill=system.fill, failing=system.failing, alter=system.alter)

    yield suite
    for system in systems:
        for pair in system.opened:
            for each in pair:
                each.close()


@pytest.mark.parametrize("promise", EVERY_PROMISE, ids=lambda promise: promise.__name__)
def test_a_right_source_keeps_every_promise(promise, suite_of):
    promise(suite_of(Right))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("kind", "caught_by"),
    [
        (Forgets, "pages_bring_every_entity_once"),
        (Invents, "pages_bring_every_entity_once"),
        (BringsNoChange, "pages_bring_every_entity_once"),
        (Refuses, "pages_bring_every_entity_once"),
        (PromisesTooMuch, "pages_bring_every_entity_once"),
        (CannotReadAll, "pages_bring_every_entity_once"),
        (Shuffles, "pages_come_in_a_stable_order"),
        (CountsItsCursors, "pages_come_in_a_stable_order"),
        (CountsItsCursors, "a_page_asked_for_twice_is_the_same"),
        (CursorsAreNoJson, "cursors_are_kept_as_json"),
        (CursorsOfTuples, "cursors_are_kept_as_json"),
        (CursorsWithNul, "cursors_are_kept_as_json"),
        (CursorsAreTheSame, "cursors_are_kept_as_json"),
        (CursorsBeginBehind, "a_run_resumes_after_every_page"),
        (CursorsBeginBehind, "a_page_that_fails_never_ends_a_run_as_if_it_were_complete"),
        (RepeatsTheLastPage, "a_run_resumes_after_every_page"),
        (ForgetsWhatItGave, "a_page_asked_for_twice_is_the_same"),
        (FailsWhenEmpty, "an_empty_system_is_no_error"),
        (EndsWhereItFails, "a_page_that_fails_never_ends_a_run_as_if_it_were_complete"),
        (SkipsWhatFails, "a_page_that_fails_never_ends_a_run_as_if_it_were_complete"),
        (EndsWhereItFails, "a_source_is_made_while_its_system_is_away"),
        (AsksAtOnce, "a_source_is_made_while_its_system_is_away"),
        (LeavesATask, "a_run_that_is_closed_leaves_nothing_open"),
        (LeavesATaskWhenStopped, "a_run_that_is_closed_leaves_nothing_open"),
        (LeavesASocket, "a_run_that_is_closed_leaves_nothing_open"),
        (LeavesItToPython, "a_run_that_is_closed_leaves_nothing_open"),
        (TellsOfNoChange, "changes_bring_what_changed"),
        (ChangesAreForgotten, "changes_bring_what_changed"),
        (ChangesAreEverything, "changes_bring_what_changed"),
        (ChangesAreNoneWhenAway, "changes_that_cannot_be_had_raise"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_each_way_of_being_wrong_is_caught(kind, caught_by, suite_of):
    promise = next(each for each in EVERY_PROMISE if each.__name__ == caught_by)

    with pytest.raises((AssertionError, ConfigError)):
        promise(suite_of(kind))


def test_every_promise_catches_somebody():
    wrong = next(mark for mark in test_each_way_of_being_wrong_is_caught.pytestmark if mark.name == "parametrize").args[
        1
    ]

    assert {promise for _, promise in wrong} == {promise.__name__ for promise in EVERY_PROMISE}


def test_a_system_of_too_few_pages_is_told(suite_of):
    suite = suite_of(Right)
    small = SourceSuite(make=suite.make, fill=set, failing=suite.failing)

    with pytest.raises(TypeError, match="fill in more, or lower chunk_size"):
        PROMISES[0](small)
