"""What is answered to a reference that is none: where it went wrong."""

import pytest

from mainstem.api.problems import Problem
from mainstem.api.references import parse_ref


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("component:de fault/pay", 12),
        ("", 0),
        ("pay", 3),
        ("default/pay", 11),
        ("pay ment", 3),
        ("de fault/pay", 2),
        ("a\nb", 1),
        ("a:b:c", 3),
        ("component:default/a/b", 19),
        ("1x:default/pay", 0),
        (":default/pay", 0),
        ("component:-x/pay", 10),
        ("component:/pay", 10),
        ("component:", 10),
        ("component:default/", 18),
        ("component:DEFAULT/-pay", 18),
        ("component:default/pay-", 22),
        (f"component:default/{'a' * 64}", 81),
        (f"{'a' * 64}:pay", 63),
        ("component:default/pé", 19),
        ("component:default/p\u0130", 19),
        ("component:default/a\nb", 19),
        ("component:default/pay\n", 21),
        ("component:default/\udcff", 18),
    ],
)
def test_a_reference_is_refused_at_the_first_character_that_no_reference_has_there(text, position):
    with pytest.raises(Problem) as refused:
        parse_ref(text)
    assert (400, position) == (refused.value.status, refused.value.more["position"])
