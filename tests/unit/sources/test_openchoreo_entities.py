"""Names as OpenChoreo may send them."""

import pytest

from sources.openchoreo_entities import name_of


@pytest.mark.parametrize(
    ("name", "expected"), [("pay", "pay"), ("a/b", ""), ("nul\0", ""), ("half\ud800", ""), ("line\n", ""), (7, "")]
)
def test_a_name_that_no_path_and_no_cursor_can_hold_is_none(name, expected):
    assert name_of({"name": name}) == expected
