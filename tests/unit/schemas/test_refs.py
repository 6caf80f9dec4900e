# ruff: noqa: E501 - one case to a line
"""References to entities, and the keys made of them."""

import pytest

from schemas.refs import EntityRef, entity_key, parse_entity_key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("component:default/pay", "component:default/pay"),
        ("Component:Team-A/Pay.X_y", "component:team-a/pay.x_y"),
        ("API:pay", "api:default/pay"),
        ("k9:a--b/a--b", "k9:a--b/a--b"),
        ("a:b/" + "n" * 63, "a:b/" + "n" * 63),
    ],
)
def test_a_reference_is_read_in_any_case(text, expected):
    assert str(EntityRef.parse(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "pay", "default/pay", ":pay", "component:", "component:/pay", "component:a/b/c", "a:b:c", "9k:pay", "c:a_b/pay",
     "c:-a/pay", "c:-pay", "c:pay-", "c:a b", "c:" + "n" * 64, "c:" + "n" * 64 + "/pay", "k" * 64 + ":pay", "c:pay\n", "ç:pay"],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ValueError, match="reference"):
        EntityRef.parse(text)


def test_kind_and_namespace_may_be_given_for_what_is_missing():
    found = [str(EntityRef.parse(text, kind="api", namespace="team")) for text in ("Pay", "b/pay", "x:pay", "x:b/pay")]
    assert found == ["api:team/pay", "api:b/pay", "x:team/pay", "x:b/pay"]


@pytest.mark.parametrize(("tenant", "expected"), [("default", b"a:b/c"), ("acme", b"acme|a:b/c")])
def test_the_key_of_any_tenant_but_the_default_begins_with_it(tenant, expected):
    key = entity_key(tenant, EntityRef("a", "b", "c"))
    assert (key, parse_entity_key(key)) == (expected, (tenant, "a:b/c"))
