"""What becomes of the entities of a page."""

from sources.base import Item, Page
from sources.mapping import Mapper, MappingSettings
from sources.sieve import Sieve
from sources.sifting import LeftOut, Moment, candidates, sift


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
