"""What is told of a mapping that was without effect."""

import pytest

from sources.base import Item, Page
from sources.effect import doubts
from sources.mapping import Mapper, MappingSettings
from sources.sieve import Sieve
from sources.sifting import Moment, candidates, sift


def _entity(name, **spec):
    metadata = {"name": name, "annotations": {"acme.com/tier": "tier1"}}
    return {"apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": metadata, "spec": spec}


def _silent(*entities, **settings):
    """Return the keys of the expressions that a page of *entities* left without effect, in order."""
    sieve = Sieve("acme", Mapper(MappingSettings(connector="acme", **settings)))
    items = [Item(place=each["metadata"]["name"], change={"entity": each}) for each in entities]
    moment = Moment(now_ms=1_000, silent=set(sieve.adding))
    found, result = candidates(Page(items=items), sieve)
    sift(found, {}, sieve, moment, result)
    return [key for key in sieve.adding if key in moment.silent]


def test_what_finds_something_in_one_entity_is_not_silent():
    mapping = {"owner_team": "spec.owner", "tier": "metadata.annotation['acme.com/tier']", "email": "spec.email"}
    found = _silent(_entity("pay"), _entity("ship", owner="team-pay", email=""), field_mapping=mapping)
    assert found == ["tier", "email"]


@pytest.mark.parametrize(
    ("spec", "silent"),
    [
        ({"dependsOn": ["resource:db"], "usedBy": []}, ["dependency_extraction.downstream"]),
        ({"dependsOn": [""], "usedBy": "component:shop"}, ["dependency_extraction.upstream"]),
    ],
)
def test_an_empty_list_of_dependencies_is_nothing(spec, silent):
    assert _silent(_entity("pay", **spec), upstream="spec.dependsOn", downstream="spec.usedBy") == silent


def test_what_is_left_out_or_refused_does_not_speak():
    old, odd = _entity("old", lifecycle="deprecated", owner="team-pay"), _entity("odd", owner=7)
    found = _silent(
        old,
        odd,
        _entity("pay"),
        filters=("spec.lifecycle != 'deprecated'",),
        field_mapping={"owner_team": "spec.owner"},
    )
    assert found == ["ownerTeam"]


ADDING = {"tier": "connector acme: field_mapping.tier (spec.tier)", "email": "connector acme: field_mapping.email (a)"}


@pytest.mark.parametrize(
    ("silent", "mapped", "left_out", "refused", "told"),
    [
        ({"tier"}, 2_000, 3, 0, [f"{ADDING['tier']} found nothing in any entity; looked at: 2,000"]),
        (
            {"tier"},
            2,
            0,
            1,
            [f"{ADDING['tier']} found nothing in any entity; looked at: 2; refused: 1"],
        ),
        (set(), 2, 3, 1, []),
        ({"tier", "email"}, 0, 0, 0, []),
        ({"tier"}, 0, 3, 0, ["entity_types and filters leave out every entity; looked at: 3"]),
    ],
)
def test_an_expression_is_named_where_an_entity_was_mapped(silent, mapped, left_out, refused, told):
    assert list(doubts(ADDING, silent, mapped=mapped, left_out=left_out, refused=refused)) == told
