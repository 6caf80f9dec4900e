"""What of an entity changed, told by what is remembered of it."""

import pytest

from streams.published import Published, changed_pointers, marks_of


def test_numbers_and_truth_values_are_told_apart():
    before = {"/service/a": 1, "/service/b": 1, "/service/c": "x", "/service/d": 1}
    after = {"/service/a": 1.0, "/service/b": True, "/service/c": "x", "/service/e": 1}
    changed = changed_pointers(marks_of(before), marks_of(after))
    assert changed == ["/service/a", "/service/b", "/service/d", "/service/e"]


@pytest.mark.parametrize(("value", "text"), [(["x"], '["x"]'), (1, "1"), ({}, "{}")])
def test_a_value_is_told_from_the_text_that_looks_like_it(value, text):
    assert changed_pointers(marks_of({"/spec/a": value}), marks_of({"/spec/a": text})) == ["/spec/a"]


def test_only_what_was_published_last_is_remembered():
    published = Published()
    published.remember(b"key", "first", {"/kind": 1})
    published.remember(b"key", "second", {"/kind": 2})
    assert [published.marks(b"key", told) for told in ("first", "second")] == [None, {"/kind": 2}]


def test_what_is_remembered_is_bounded_by_bytes_and_the_oldest_is_forgotten_first():
    published = Published(limit=100_000)
    marks = {f"/service/{'long' * 1_000}-{number}": number for number in range(5)}
    for key in (b"a", b"b", b"c", b"d", b"a", b"e"):
        published.remember(key, "hash", marks)
    kept = [key for key in (b"a", b"b", b"c", b"d", b"e") if published.marks(key, "hash")]
    assert kept == [b"a", b"c", b"d", b"e"]


def test_an_entry_larger_than_all_room_is_not_kept():
    published = Published(limit=1_000)
    published.remember(b"key", "hash", {"/service/" + "x" * 2_000: 1})
    published.remember(b"other", "hash", {"/kind": 1})
    assert (published.marks(b"key", "hash"), published.marks(b"other", "hash")) == (None, {"/kind": 1})
