"""Whatever is written in a bracket or quotes, and whatever is written at all."""

import contextlib
import copy
import json

import jmespath
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError, ValidationError
from sources.expressions import compiled

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["a['b']", '["x"]', "`", "]", "\\"]
)
WORDS = [
    "a",
    "b",
    "'x'",
    '"y"',
    "`1`",
    "['k']",
    '["k"]',
    "[",
    "]",
    "[]",
    "[?",
    "(",
    ")",
    "{",
    "}",
    ".",
    "*",
    "@",
    "!",
    "&",
]
PIECES = st.lists(
    st.sampled_from([*WORDS, "==", "<", "||", "&&", "|", ":", ",", "0", "-1", "length(", "max_by(", " "]), max_size=12
)
SHAPES = [
    "{}.{}",
    "[{}, {}]",
    "[{}]",
    "{}.[{}]",
    "{}[?{}]",
    "{} == {}",
    "({} || {})",
    "{}[0]",
    "{}[]",
    "not_null({}, {})",
]
PROPER = st.recursive(
    st.sampled_from(["a", "b", "@", "'x'", '"y z"', "`1`", "*"]),
    lambda inner: st.builds(str.format, st.sampled_from(SHAPES), inner, inner),
    max_leaves=6,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.sampled_from(["", "x", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "k", "y"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def raw(text):
    """As a raw text of JMESPath, in which a backslash escapes the quote alone. One before its end would escape it."""
    return "'" + text.replace("'", "\\'") + "'"


@given(KEYS.filter(lambda key: "\\" not in key))
def test_a_bracket_finds_any_key(key):
    value = {"a": {key: {"b": 1}, "other": 2}}
    assert compiled(f"a[{raw(key)}].b", place="here").find(value) == 1


@given(KEYS)
def test_a_bracket_in_double_quotes_finds_any_key(key):
    value = {"a": {key: {"b": 1}, "other": 2}}
    assert compiled(f"a[{json.dumps(key)}].b", place="here").find(value) == 1


@given(KEYS.filter(lambda key: "\\" not in key))
def test_a_text_is_never_touched(text):
    assert compiled(f"@ == {raw(text)}", place="here").find(text)


@given(st.text(max_size=20) | PIECES.map("".join), VALUES)
def test_an_expression_is_refused_or_answers_or_refuses_the_value(expression, value):
    before = copy.deepcopy(value)
    with contextlib.suppress(ConfigError, ValidationError):
        compiled(expression, place="here").find(value)
    assert before == value


@given(PROPER)
def test_what_is_jmespath_already_means_the_same(expression):
    try:
        proper = jmespath.compile(expression).parsed
    except jmespath.exceptions.JMESPathError:
        return
    assert proper == compiled(expression, place="here")._tree
