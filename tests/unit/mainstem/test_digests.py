"""The same value has the same digest, whether it was read from a topic or from jsonb."""

import orjson
import pytest

from mainstem.verification.digests import digest, seconds


@pytest.mark.parametrize(
    ("topic", "jsonb"),
    [
        (b'{"b": 1.0, "a": [2.50]}', b'{"a": [2.5], "b": 1}'),
        (b"[1e16, -0.0, 1e-7]", b"[10000000000000000, 0.0, 0.0000001]"),
        (b"[1e22]", b"[10000000000000000000000]"),
        (b'["1.0"]', b'["1.0"]'),
        (b"[[[1.0]]]", b"[[[1]]]"),
    ],
)
def test_numbers_of_one_value_are_one(topic, jsonb):
    assert digest(orjson.loads(topic)) == digest(orjson.loads(jsonb))


@pytest.mark.parametrize(("one", "other"), [([1], [2]), ([1], [True]), ([0.1], [0.2]), (["1"], [1]), ({}, [])])
def test_different_values_differ(one, other):
    assert digest(one) != digest(other)


def test_a_nesting_of_a_thousand_levels_has_a_digest():
    value = 1.0
    for _ in range(1000):
        value = [value]
    assert len(digest(value)) == 16


@pytest.mark.parametrize(
    ("sink", "postgres"),
    [
        ("2023-11-14T22:13:20+00:00", "1700000000.000000"),
        ("1970-01-01T00:00:01.500000+00:00", "1.500000"),
        ("infinity", "Infinity"),
        ("-infinity", "-Infinity"),
        (None, None),
    ],
)
def test_times_are_read_alike(sink, postgres):
    assert seconds(sink) == seconds(postgres)
