# ruff: noqa: E501 - one case to a line
"""One text for one value."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.canonical import canonical_json, content_hash, parse_json, pointer
from schemas.errors import DecodeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),
        ({"\N{GRINNING FACE}": 1, "\uffff": 2, "é": 3, "z": 4}, '{"z":4,"é":3,"\uffff":2,"\N{GRINNING FACE}":1}'),
        (["/", "\x7f", "\u2028", "ü"], '["/","\x7f","\u2028","ü"]'),
        (['"', "\\", "\n", "\x01", "\t"], r'["\"","\\","\n","\u0001","\t"]'),
        ([1, 1.0, True, None, -0.0, 0.1], "[1,1.0,true,null,-0.0,0.1]"),
        ([2**64 - 1, -(2**63)], "[18446744073709551615,-9223372036854775808]"),
    ],
    ids=["sorted keys", "by code point, not by UTF-16", "no needless escapes", "needed escapes", "numbers", "integers"],
)
def test_canonical_json_is(value, expected):
    assert canonical_json(value) == expected.encode()


def test_json_as_deep_as_a_change_may_be_is_written_like_any_other():
    deep = b'{"a":[' * 500 + b'{"b":1,"a":[]}' + b"]}" * 500
    value = parse_json(deep)
    assert canonical_json(value) == b'{"a":[' * 500 + b'{"a":[],"b":1}' + b"]}" * 500


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
)


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(VALUES)
def test_canonical_json_is_what_pythons_own_encoder_writes_sorted_and_tight(value):
    expected = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical_json(value) == expected


@settings(max_examples=100, derandomize=True, database=None, deadline=None)
@given(VALUES)
def test_what_is_written_is_read_back_as_the_same_text(value):
    assert canonical_json(parse_json(canonical_json(value))) == canonical_json(value)


def test_the_hash_is_blake2b_128_in_hex():
    assert content_hash(b"{}") == hashlib.blake2b(b"{}", digest_size=16).hexdigest()


@pytest.mark.parametrize(
    ("tokens", "expected"), [((), ""), (("a", "b"), "/a/b"), (("a/b", "~"), "/a~1b/~0"), (("~1",), "/~01"), (("",), "/")]
)  # fmt: skip
def test_a_pointer_escapes_its_tokens(tokens, expected):
    assert pointer(*tokens) == expected


def test_an_escaped_backslash_before_u0000_is_no_u0000():
    assert parse_json(rb'["\\u0000"]') == [r"\u0000"]


@pytest.mark.parametrize("text", [b'["\\u0000"]', b'{"a": {"\\u0000": 1}}', b"[NaN]", b'["\\ud800"]', b"[1e400]", b""])
def test_what_cannot_be_kept_is_refused(text):
    with pytest.raises(DecodeError):
        parse_json(text)
