"""What a connector's items come to."""

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from sources.base import Item
from sources.ledger import Gone, Known
from sources.mapping import Mapper, MappingSettings
from sources.sieve import Candidate, Sieve


def test_a_deletion_outranks_what_was_published_whatever_its_version_and_the_clock():
    sieve = Sieve("acme", Mapper(MappingSettings(connector="acme")))
    gone = Gone(entity_ref="component:default/pay", generation=2, source_version=7, observed_at=5_000)
    change = orjson.loads(sieve.deletion(gone, 1_000).value or b"")
    assert (change["generation"], change["version"], change["observedAt"]) == (2, 7, 5_001)


def test_an_item_that_comes_to_another_change_is_another_item():
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "pay"}, "spec": {}}
    item = Item(place="pay", change={"entity": entity})
    settings = MappingSettings(connector="acme")
    sieves = [
        Sieve("acme", Mapper(settings)),
        Sieve("acme", Mapper(replace(settings, filters=("spec.lifecycle != 'deprecated'",)))),
        Sieve("acme", Mapper(replace(settings, field_mapping={"tier": "spec.tier"}))),
        Sieve("acme", Mapper(settings), tenant="acme"),
        Sieve("acme", Mapper(settings), is_complete=True),
    ]
    found = [sieve.candidate(item) for sieve in sieves]
    assert len({each.content_hash for each in found if each}) == len(sieves)


@pytest.mark.parametrize(("observed_at", "verdict"), [(8_000, "renewed"), (8_001, "unchanged")])
def test_what_was_observed_too_long_ago_is_renewed_here_as_in_the_ledger(observed_at, verdict):
    sieve = Sieve("acme", Mapper(MappingSettings(connector="acme")), renewal=timedelta(seconds=2))
    candidate = Candidate(Item(place="pay", change={}), "component:default/pay", "#", is_delete=False)
    known = Known(candidate.entity_ref, "#", None, None, observed_at, "", 1, is_marked=False, is_seen=False)
    is_alive = observed_at >= sieve.lives_from(10_000)
    assert (sieve.verdict(candidate, known, now_ms=10_000), is_alive) == (verdict, verdict == "unchanged")
