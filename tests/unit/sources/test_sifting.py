"""What becomes of the entities of a page."""

import pytest

from sources.base import Item, Page
from sources.mapping import Mapper, MappingSettings
from sources.sieve import Sieve
from sources.sifting import LeftOut, Moment, candidates, said, sift


def _entity(name, **spec):
    return {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": name}, "spec": spec}


def _sifted(entities, left_out):
    sieve = Sieve("acme", Mapper(MappingSettings(connector="acme", filters=("spec.lifecycle != 'deprecated'",))))
    items = [Item(place=each["metadata"]["name"], change={"entity": each}) for each in entities]
    found, result = candidates(Page(items=items), sieve)
    return sift(found, {}, sieve, Moment(now_ms=1_000, left_out=left_out), result)


def test_what_is_left_out_counts_once_however_many_pages_show_it():
    left_out = LeftOut()
    page = [_entity("old", lifecycle="deprecated"), _entity("odd", owner=7)]
    found = [_sifted(page, left_out), _sifted(page, left_out)]
    assert [(each.filtered, len(each.refusals)) for each in found] == [(1, 1), (0, 0)]


def test_beyond_its_limit_what_is_left_out_counts_each_time():
    left_out = LeftOut(limit=1)
    page = [_entity("old", lifecycle="deprecated"), _entity("older", lifecycle="deprecated")]
    assert [_sifted(page, left_out).filtered for _ in range(2)] == [2, 1]


def _said(items, *, is_full=False):
    sieve = Sieve("acme", Mapper(MappingSettings(connector="acme")))
    found, _ = candidates(Page(items=items), sieve)
    return said(found, sieve, Moment(now_ms=1_000, is_full=is_full))


def _item(name, scope="", **change):
    return Item(place=name, change={"entity": _entity(name), **change}, scope=scope)


def test_the_ledger_compares_what_a_page_holds_once():
    assert all(_said([_item("pay"), _item("ship")]).hashes)


@pytest.mark.parametrize(
    "odd", [[_item("ship"), _item("Ship")], [_item("ship", "acme/\0")], [_item("ship", "acme/\ud800")]]
)
def test_a_page_that_the_ledger_cannot_compare_is_looked_at_entity_by_entity(odd):
    assert {*_said([_item("pay"), *odd]).hashes} == {""}


def test_a_full_run_looks_at_every_entity():
    assert _said([_item("pay")], is_full=True).hashes == [""]


def test_a_deletion_is_never_as_it_was():
    deletion = Item(place="ship", change={"op": "delete", "entityRef": "component:default/ship"})
    assert [bool(each) for each in _said([_item("pay"), deletion]).hashes] == [True, False]
