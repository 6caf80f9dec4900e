import asyncio
import json
import re

from schemas.errors import SourceUnreachableError
from sources.failures import frames, reason

SECRET = "hunter2-payload"


def _raised(error):
    try:
        raise error
    except type(error) as raised:
        return raised


def test_a_foreign_error_is_told_by_its_class_and_line_and_never_by_its_text():
    error = _raised(KeyError(SECRET))
    assert re.fullmatch(r"the source failed: KeyError at sources/test_failures\.py:\d+ in _raised", reason(error))
    assert SECRET not in "".join(frames(error))


def test_the_line_that_raised_comes_last_and_a_deep_fall_is_told_from_its_end():
    def fall(left):
        return fall(left - 1) if left else land()

    def land():
        return {}[SECRET]

    try:
        fall(50)
    except KeyError as error:
        told = frames(error)
    assert [each.rpartition(" ")[2] for each in told] == ["fall"] * 19 + ["land"]


def test_what_a_library_raised_is_told_with_the_line_that_asked_it():
    def asks():
        json.loads("{")

    try:
        asks()
    except ValueError as error:
        told, last = reason(error), frames(error)[-1]
    assert re.fullmatch(r"the source failed: JSONDecodeError at sources/test_failures\.py:\d+ in asks", told)
    assert last.startswith("json/decoder.py:")


def test_of_what_tasks_raised_together_the_first_is_told():
    async def asks():
        raise KeyError(SECRET)

    async def together():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asks())

    try:
        asyncio.run(together())
    except ExceptionGroup as error:
        told, rose = reason(error), frames(error)
    assert re.fullmatch(r"the source failed: KeyError at sources/test_failures\.py:\d+ in asks", told)
    assert [each.rpartition(" ")[2] for each in rose] == ["asks"]


def test_an_error_of_ours_is_its_own_sentence():
    error = _raised(SourceUnreachableError("it is\0 away\ud800"))
    assert (reason(error), frames(error)) == ("it is? away?", [])


def test_an_error_that_was_never_raised_has_no_place():
    assert reason(ValueError(SECRET)) == "the source failed: ValueError"
