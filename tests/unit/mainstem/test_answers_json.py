"""JSON as the API sends it."""

import json
from functools import reduce

from mainstem.api.canonical import _is_over
from mainstem.api.rendering import JsonAnswer


def test_an_answer_may_be_nested_as_deep_as_a_change_may():
    deep = reduce(lambda inner, _: [inner], range(900), "found")

    assert json.loads(JsonAnswer({"items": deep}).body) == {"items": deep}


def test_a_duty_until_the_last_day_that_there_is_is_not_over():
    assert not _is_over("9999-12-31", 1_700_000_000)
