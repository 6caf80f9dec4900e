"""JMESPath as connectors write it."""

import pytest

from schemas.errors import ConfigError, ValidationError
from sources.expressions import compiled, is_true

ENTITY = {
    "kind": "Component",
    "metadata": {
        "name": "pay",
        "description": "Takes the money",
        "annotations": {"acme.com/tier": "tier1", "acme.com/pdlite-enabled": "true", "it's": "quoted"},
    },
    "spec": {"owner": "team-pay", "lifecycle": "production", "dependsOn": ["component:default/ledger"]},
    "relations": [
        {"type": "dependencyOf", "targetRef": "component:default/shop"},
        {"type": "ownedBy", "targetRef": "group:default/team-pay"},
    ],
}
WRONG_QUOTES = "the name of a field, which needs no double quotes; a text stands in single ones, as in 'true'"
OTHER_KEYS = "a key of other characters than letters, digits and _ is written as in a['acme.com/tier']"


def find(expression):
    return compiled(expression, place="connector git: key").find(ENTITY)


def refusal(expression):
    with pytest.raises(ConfigError) as caught:
        compiled(expression, place="connector git: key")
    return str(caught.value)


def breakage(expression, value=ENTITY):
    with pytest.raises(ValidationError) as caught:
        compiled(expression, place="connector git: key").find(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("metadata.name", "pay"),
        ("metadata.description", "Takes the money"),
        ("spec.owner", "team-pay"),
        ("metadata.annotations['acme.com/tier']", "tier1"),
        ("spec.lifecycle", "production"),
        ("spec.dependsOn", ["component:default/ledger"]),
        ("relations[?type=='dependencyOf'].targetRef", ["component:default/shop"]),
        ("spec.lifecycle != 'deprecated'", True),
        ("metadata.annotations['acme.com/pdlite-enabled'] == 'true'", True),
    ],
)
def test_every_expression_of_the_reference_is_understood(expression, found):
    assert found == find(expression)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("""metadata.annotations["acme.com/tier"]""", "tier1"),
        ("metadata . annotations [ 'acme.com/tier' ]", "tier1"),
        ("metadata['annotations']['acme.com/tier']", "tier1"),
        (r"metadata.annotations['it\'s']", "quoted"),
        ("@['kind']", "Component"),
        ("(spec)['owner']", "team-pay"),
        ("relations[0]['type']", "dependencyOf"),
        ("relations[]['type']", ["dependencyOf", "ownedBy"]),
        ("relations[*]['type']", ["dependencyOf", "ownedBy"]),
        ("relations[?['type'][0] == 'ownedBy']", []),
        ("not_null(spec['owner'], spec['team'])", "team-pay"),
        ("{o: spec}['o'].owner", "team-pay"),
    ],
)
def test_a_bracket_with_a_text_is_a_key(expression, found):
    assert found == find(expression)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("['kind']", ["kind"]),
        ("spec.['owner']", ["owner"]),
        ("kind == '[\\'kind\\']'", False),
        ("""'spec["owner"]'""", 'spec["owner"]'),
        ("`\"spec['owner']\"`", "spec['owner']"),
        ("`spec['owner']`", "spec['owner']"),
        ("contains(['Component', 'API'], kind)", True),
        ("relations[?type == 'ownedBy' && ['x'][0] == 'x'].targetRef", ["group:default/team-pay"]),
    ],
)
def test_a_list_of_texts_and_a_text_stay_what_they_are(expression, found):
    assert found == find(expression)


@pytest.mark.parametrize("expression", ['kind == "other-kind"', 'kind == "spec".x', 'kind == spec."x"', '["kind"]'])
def test_a_field_in_double_quotes_may_be_compared_where_it_needs_them(expression):
    assert find(expression) in (False, ["Component"])


def test_a_path_that_leads_nowhere_finds_nothing():
    assert find("metadata.annotations['acme.com/none'].more[0]") is None


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("", "the expression is empty"),
        (
            "spec.my-key",
            f"character 8 of the expression cannot be read; {OTHER_KEYS}",
        ),
        (
            "spec.lifecycle = 'production'",
            "character 16 of the expression cannot be read; what is compared stands on both sides of ==",
        ),
        ("spec.owner ==", "the expression ends where more is expected"),
        ("metadata.annotations['acme.com/tier", "the quote at character 22 of the expression is never closed"),
        ('a[\'say "x" and "y"\'] b', "character 22 of the expression is not expected there"),
        ("a['k']]", "character 7 of the expression is not expected there"),
        ("length()", "length() takes 1 argument, not 0"),
        ("not_null()", "not_null() takes at least 1 argument, not 0"),
        ('kind == "Component"', f"character 9 of the expression begins {WRONG_QUOTES}"),
        ('relations[?type != "ownedBy"]', f"character 20 of the expression begins {WRONG_QUOTES}"),
        ("sort_by(relations, type)", "argument 2 of sort_by() is written with &"),
        ("to_array(&kind)", "argument 1 of to_array() is written without &"),
        ("&kind", "& stands before an argument of a function alone, as in sort_by(a, &b)"),
        ("[kind, &kind]", "& stands before an argument of a function alone, as in sort_by(a, &b)"),
        ("relations[::0]", "the step of a slice cannot be 0"),
        ("!spec.owner", "! takes the first name alone, not the whole path; write !(a.b) for !a.b"),
        ("!spec['owner']", "! takes the first name alone, not the whole path; write !(a.b) for !a.b"),
        ("(" * 5000, "the expression is nested too deeply"),
        ("a[" + "9" * 5000 + "]", "the expression holds a number that is too long"),
    ],
)
def test_a_fault_is_told_with_its_place(expression, sentence):
    assert f"connector git: key: {sentence}" == refusal(expression)


def test_an_unknown_function_is_refused_before_anything_is_read():
    assert refusal("a[?lower(b) == 'x']").startswith(
        "connector git: key: there is no function lower(); there are: abs,"
    )


def test_a_refusal_repeats_no_literal():
    assert "canary" not in refusal("spec.owner == 'canary' 'canary") + refusal("lower('canary')") + refusal("'canary")


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("length(spec.nothing)", "length() takes string or array or object, not null"),
        ("spec.owner < `5`", "it compares or computes values of types that do not go together"),
    ],
)
def test_a_value_that_a_function_cannot_take_is_told_without_the_value(expression, sentence):
    assert f"/entity: connector git: key ({expression}): {sentence}" == breakage(expression)


def test_what_is_nested_too_deeply_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert breakage("to_string(@)", deep).endswith("nested too deeply")


def test_an_expression_is_shown_without_its_literals():
    name = compiled("a['k'] == 'canary' || b == `{\"x\": \"canary\"}` || c == `5`", place="connector git: key").name
    assert name == "connector git: key (a['k'] == '…' || b == '…' || c == `5`)"


@pytest.mark.parametrize("found", [None, False, "", [], {}])
def test_what_is_empty_is_not_true(found):
    assert not is_true(found)


@pytest.mark.parametrize("found", [True, 0, 0.0, "false", [None], {"a": None}])
def test_all_else_is_true(found):
    assert is_true(found)
