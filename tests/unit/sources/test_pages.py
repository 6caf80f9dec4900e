"""Pages two ahead, and sources that hang or never end."""

import asyncio

import psycopg
import pytest

from schemas.errors import EndlessSourceError, SourceUnreachableError
from sources.base import Item, Page
from sources.pages import BARREN_PAGES, PageReader, Treadmill


async def _pages(numbers, closed):
    try:
        for number in numbers:
            yield Page(cursor={"at": number})
    finally:
        closed.append(True)


async def _hanging():
    yield Page()
    await asyncio.Event().wait()
    yield Page()


def _itself(page):
    return page


async def _let_it_read():
    for _ in range(100):
        await asyncio.sleep(0)


def test_pages_come_in_order_and_none_comes_last():
    async def read():
        reader, closed = PageReader(_pages(range(3), []), _itself), []
        while page := await reader.next():
            closed.append(page.cursor["at"])
        await reader.close()
        return closed

    assert asyncio.run(read()) == [0, 1, 2]


def test_a_reader_that_is_closed_early_closes_its_source():
    async def read():
        closed = []
        reader = PageReader(_pages(range(3), closed), _itself)
        await reader.next()
        await reader.close()
        return closed

    assert asyncio.run(read()) == [True]


def test_a_reader_that_is_closed_before_its_first_page_closes_its_source():
    closed = []

    async def slow():
        try:
            await asyncio.Event().wait()
            yield Page()
        finally:
            closed.append(True)

    async def read():
        reader = PageReader(slow(), _itself)
        waiting = asyncio.create_task(reader.next())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await reader.close()
        return waiting, list(closed)

    assert asyncio.run(read())[1] == [True]


def test_a_source_that_gives_no_page_is_given_up():
    async def read():
        reader = PageReader(_hanging(), _itself, patience=0.05)
        await reader.next()
        try:
            await reader.next()
        finally:
            await reader.close()

    with pytest.raises(SourceUnreachableError, match="no page"):
        asyncio.run(read())


def test_what_a_source_raises_comes_after_the_pages_before_it():
    async def broken():
        yield Page(cursor={"at": 0})
        yield Page(cursor={"at": 1})
        raise SourceUnreachableError("gone")

    async def read():
        reader, found = PageReader(broken(), _itself), []
        try:
            while True:
                await _let_it_read()
                found.append((await reader.next()).cursor["at"])
        except SourceUnreachableError as error:
            found.append(str(error))
        await reader.close()
        return found

    assert asyncio.run(read()) == [0, 1, "gone"]


def test_a_source_within_which_something_is_cancelled_is_not_waited_for():
    async def broken():
        yield Page()
        raise asyncio.CancelledError

    async def read():
        reader = PageReader(broken(), _itself)
        try:
            await reader.next()
            async with asyncio.timeout(10):
                await reader.next()
        finally:
            await reader.close()

    with pytest.raises(SourceUnreachableError, match="broke off"):
        asyncio.run(read())


def test_a_source_is_read_no_further_than_two_pages_ahead():
    async def read():
        given = []

        async def counted():
            for number in range(9):
                given.append(number)
                yield Page()

        reader = PageReader(counted(), _itself)
        await reader.next()
        await _let_it_read()
        await reader.close()
        return given

    assert asyncio.run(read()) == [0, 1, 2]


def test_what_becomes_of_a_page_is_found_out_before_anybody_asks_for_it():
    async def read():
        seen, closed = [], []
        reader = PageReader(_pages(range(9), closed), lambda page: seen.append(page.cursor["at"]) or page.cursor["at"])
        first = await reader.next()
        await _let_it_read()
        await reader.close()
        return first, seen

    assert asyncio.run(read()) == (0, [0, 1, 2])


def test_a_page_that_cannot_be_understood_is_told_after_those_before_it():
    def broken(page):
        if page.cursor["at"] == 1:
            raise ZeroDivisionError
        return page.cursor["at"]

    async def read():
        reader, found = PageReader(_pages(range(3), []), broken), []
        try:
            while True:
                await _let_it_read()
                found.append(await reader.next())
        except ZeroDivisionError:
            found.append("broken")
        await reader.close()
        return found

    assert asyncio.run(read()) == [0, "broken"]


def test_a_database_of_the_source_is_not_taken_for_ours():
    async def away():
        raise psycopg.OperationalError("the connection is lost")
        yield Page()

    with pytest.raises(SourceUnreachableError, match="OperationalError"):
        asyncio.run(PageReader(away(), _itself).next())


def test_pages_that_bring_nothing_new_end_the_run():
    treadmill = Treadmill(None)
    for number in range(BARREN_PAGES - 1):
        treadmill.look(Page(cursor={"at": number}), fresh=0, again=10)
    with pytest.raises(EndlessSourceError):
        treadmill.look(Page(cursor={"at": 99}), fresh=0, again=10)


def test_copies_of_what_was_seen_are_no_circle():
    treadmill = Treadmill(None)
    for number in range(100):
        items = [Item(place=f"copy-{number}.yaml:1", change={"entity": {}})]
        treadmill.look(Page(items=items), fresh=0, again=1)


def test_cursors_that_go_round_end_the_run_although_every_entity_is_filtered_out():
    treadmill = Treadmill(None)

    def go_round():
        for number in range(100):
            treadmill.look(Page(cursor={"at": number % 7}), fresh=0, again=0)

    with pytest.raises(EndlessSourceError):
        go_round()


def test_a_cursor_that_stays_while_entities_come_is_no_circle():
    treadmill = Treadmill(None)
    for _ in range(100):
        treadmill.look(Page(cursor={"file": "large.yaml"}), fresh=10, again=0)
