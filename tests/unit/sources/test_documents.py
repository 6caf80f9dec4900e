"""Reading catalogue files: YAML 1.2 as Backstage reads it, and bytes of any kind."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.documents import read_documents


def read(text: str | bytes, name: str = "a.yaml"):
    return read_documents(name, text if isinstance(text, bytes) else text.encode())


def only(text: str | bytes, name: str = "a.yaml"):
    (document,) = read(text, name)
    assert document.error is None
    return document.entity


def refused(text: str | bytes, name: str = "a.yaml") -> str:
    (document,) = read(text, name)
    assert document.entity is None
    return document.error or ""


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("True", True),
        ("~", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("12:30:45", "12:30:45"),
        ("012", 12),
        ("'012'", "012"),
        ("0o14", 12),
        ("0x1F", 31),
        ("-0x1F", "-0x1F"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("+12", 12),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.2.3", "1.2.3"),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616.0),
        ("9" * 300, 1e300),
        ("0.1e-400", 0.0),
        ("!foo 1", "1"),
        ("!!js/function 'x'", "x"),
        ("!!str 1", "1"),
        ("!!int '3'", 3),
        ("! 1", "1"),
        ('"\\u00e9"', "é"),
        ("😀", "😀"),
        ("a\u2028b\u0085c", "a\u2028b\u0085c"),
    ],
)
def test_a_scalar_has_its_meaning_in_yaml_1_2(scalar, value):
    found = only(f"a: {scalar}")["a"]
    assert type(found) is type(value)
    assert found == pytest.approx(value) if isinstance(value, float) else found == value


@pytest.mark.parametrize(
    ("key", "text"),
    [("1", "1"), ("1.0", "1"), ("2.5", "2.5"), ("0x10", "16"), ("true", "true"), ("~", ""), ("on", "on"), ("<<", "<<")],
)
def test_a_key_becomes_what_javascript_makes_of_it(key, text):
    assert only(f"{key}: v") == {text: "v"}


def test_one_and_true_are_two_keys():
    assert only("1: a\ntrue: b") == {"1": "a", "true": "b"}


def test_a_merge_key_is_an_ordinary_key():
    assert only("x: &x {a: 1}\ny:\n  <<: *x\n  b: 2")["y"] == {"<<": {"a": 1}, "b": 2}


def test_aliases_are_written_out():
    assert only("x: &x [1]\ny: *x\nz: &z k\n*z : 1") == {"x": [1], "y": [1], "z": "k", "k": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "it cannot be read: a key that is given twice (line 4)"),
        ("a: 1\na: 2\n", "it cannot be read: a key that is given twice (line 2)"),
        ("a: .nan", "it cannot be read: infinity and NaN are no numbers in JSON (line 1)"),
        ("a: -.inf", "it cannot be read: infinity and NaN are no numbers in JSON (line 1)"),
        ("a: 1e400", "it cannot be read: a number is too large (line 1)"),
        ("a: " + "9" * 5000, "it cannot be read: a number is too large (line 1)"),
        ("a: *x", "it cannot be read: an alias without its anchor (line 1)"),
        ("a: &x [*x]", "it cannot be read: an alias within what it stands for (line 1)"),
        ("? [a]\n: b", "it cannot be read: a list or an object as a key (line 1)"),
        ('a: "\\0"', "it cannot be read: the character U+0000 (line 1)"),
        ("a: b\nc: \0", "it cannot be read: a character that YAML does not allow (line 2)"),
        ("a:\n\t- b", "it cannot be read: found character that cannot start any token (line 2)"),
        ("- a", "a document must be an object"),
        ("text", "a document must be an object"),
        ("3", "a document must be an object"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_line(text, reason):
    assert refused(text) == reason


def test_a_broken_document_does_not_spoil_the_others():
    found = read("# one\n---\na: 1\n---\nb: [\n---\n# three\nc: 3\n")
    assert [(d.line, d.entity, d.error is None) for d in found] == [
        (3, {"a": 1}, True),
        (5, None, False),
        (8, {"c": 3}, True),
    ]


def test_an_error_names_the_line_in_the_file():
    assert read("a: 1\n---\nb: 1\nb: 2\n")[1].error == "it cannot be read: a key that is given twice (line 4)"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: 1", [1]),
        ("# c\n\n---\n# c\na: 1\n", [5]),
        ("%YAML 1.2\n---\na: 1\n", [3]),
        ("--- {a: 1}\n--- # c\nb: 1\n", [1, 3]),
        ("a: 1\n...\n%YAML 1.2\n---\nb: 1\n", [1, 5]),
        ("a: 1\n...\nb: 1\n", [1, 3]),
        ("a: |\n  x\n ---\n  --- y\n---\nb: 1", [1, 6]),
        ("a: 1\r\n---\r\nb: 1\r\n", [1, 3]),
        ("a: 1\r---\rb: 1\r", [1, 3]),
        ("\ufeff---\na: 1\n", [2]),
        ("---\n---\n# nothing\n---\nnull\n---\n", []),
        ("", []),
        ("---a: 1\n", [1]),
        ("# c\n...\na: 1\n", [3]),
    ],
)
def test_each_document_has_the_line_of_its_first_content(text, lines):
    found = read(text)
    assert [document.line for document in found] == lines


def test_a_file_that_is_not_utf_8_is_one_error():
    assert refused(b"a: 1\nb: \xff") == "the file is not UTF-8 (line 2)"


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ('{"a": "\\ud83d\\ude00", "b": [1, 2.5, null]}', {"a": "😀", "b": [1, 2.5, None]}),
        ('\n{\n\t"a":1\n}\n', {"a": 1}),
        ("{a: 1}", {"a": 1}),
        ('{"a": 18446744073709551616}', {"a": 18446744073709551616.0}),
    ],
)
def test_a_json_file_is_read_as_json_or_else_as_yaml(text, entity):
    assert only(text, "a.json") == entity


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"a": 1e999}', "[1]"])
def test_json_that_cannot_be_kept_is_refused(text):
    assert refused(text, "a.json")


def test_two_json_documents_in_a_yaml_stream_are_two():
    assert [document.entity for document in read('{"a": 1}\n---\n{"b": 2}\n')] == [{"a": 1}, {"b": 2}]


def _laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "text",
    [
        _laughs(30),
        "a: &a [" + "x," * 20_000 + "]\nb: [" + "*a," * 20_000 + "]",
        "a: &a " + "x" * 100_000 + "\nb: [" + "*a," * 20_000 + "]",
        "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2_000)),
        "a: " + "[" * 10_000,
        "a: " + "[" * 10_000 + "]" * 10_000,
        "[" * 1_000_000,
        '{"a":' * 200_000,
        "- " * 100_000 + "a",
        "? " * 100_000 + "a",
        "\n".join(" " * n + "a:" for n in range(2_000)),
        "a: " + "[[]," * 10_000,
    ],
    ids=["laughs", "wide", "long", "chain", "open", "closed", "million", "json", "dashes", "keys", "block", "lists"],
)
def test_a_bomb_is_refused_before_it_goes_off(text):
    assert "it cannot be read" in refused(text)


def test_nesting_up_to_the_limit_is_read():
    assert only("a: " + "[" * 1_000 + "]" * 1_000)


def test_json_nested_deeper_is_refused_where_the_interpreter_would_allow_it():
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20 * limit)
    try:
        assert only('{"a": ' + "[" * 1_000 + "]" * 1_000 + "}", "a.json")
        assert "it cannot be read" in refused('{"a": ' + "[" * 1_100 + "]" * 1_100 + "}", "a.json")
    finally:
        sys.setrecursionlimit(limit)


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_make_it_raise(data):
    for name in ("a.yaml", "a.json"):
        for document in read_documents(name, data):
            assert (document.entity is None) != (document.error is None)
            assert document.line >= 1


@given(st.text(alphabet="ab:-?*&!|>'\"{}[],#%@ \n\t.~01x<\\u", max_size=60))
def test_no_yaml_like_text_makes_it_raise(text):
    for document in read(text):
        assert (document.entity is None) != (document.error is None)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)


@given(st.dictionaries(texts, values))
def test_json_comes_back_as_it_was(entity):
    text = json.dumps(entity, ensure_ascii=False)
    if "\\u0000" not in text and "\\ud" not in text:
        assert only(text, "a.json") == entity
