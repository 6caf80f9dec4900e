"""The demo's made-up company: whole by Backstage's rules, and no reference leads nowhere."""

from collections import Counter

import pytest

from mainstem.demo.catalogue import MAX_SERVICES, SAMPLE, SAMPLE_HERO, read_catalogue
from mainstem.demo.voices import INCIDENT_TOOL, TEAM, incident_tool, newcomer, team
from schemas.errors import ConfigError
from schemas.refs import EntityRef
from sources.catalog_files import walk
from sources.publisher import draft

REFERENCES = {
    "owner": "group", "system": "system", "domain": "domain", "parent": "group", "children": "group",
    "memberOf": "group", "providesApis": "api", "consumesApis": "api", "dependsOn": None, "subcomponentOf": "component",
}  # fmt: skip

COMPONENT = """
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {{name: {name}{more}}}
spec: {{type: service, lifecycle: production, owner: team-a}}
"""


@pytest.fixture(scope="module")
def sample():
    return read_catalogue(SAMPLE)


@pytest.fixture
def own(tmp_path):
    def read(*documents):
        (tmp_path / "all.yaml").write_text("---\n".join(documents), encoding="utf-8")
        return read_catalogue(tmp_path)

    return read


def test_every_document_of_the_sample_is_whole_and_stands_once(sample):
    refs = Counter(draft({"entity": document.entity}, "git", is_complete=True).entity_ref for document in walk(SAMPLE))
    assert not sample.refused
    assert list(set(refs.values())) == [1]


def test_the_sample_has_about_sixty_services(sample):
    assert 60 <= sum(ref.startswith("component:") for ref in sample.entities) <= 65


def test_every_reference_of_the_sample_resolves(sample):
    dangling = [
        (ref, field, target)
        for ref, entity in sample.entities.items()
        for field, kind in REFERENCES.items()
        for target in _listed(entity["spec"].get(field))
        if str(EntityRef.parse(target, kind=kind)) not in sample.entities
    ]
    assert dangling == []


def test_no_text_of_the_sample_became_a_key(sample):
    known = {"name", "title", "description", "tags", "annotations", "links"}
    assert [ref for ref, entity in sample.entities.items() if entity["metadata"].keys() - known] == []


def test_the_hero_of_the_sample_comes_first_among_the_services(sample):
    assert (sample.services()[0], len(sample.services())) == (SAMPLE_HERO, MAX_SERVICES)


def test_what_the_other_connectors_say_keeps_the_rules(sample):
    hero = sample.entities[sample.hero]
    said = [
        draft(incident_tool(hero, observed_at=1), INCIDENT_TOOL),
        draft(team(hero), TEAM),
        draft(newcomer(hero, "new"), TEAM, is_complete=True),
    ]
    assert [sample.hero, sample.hero, "component:default/new"] == [each.entity_ref for each in said]


def test_of_the_readers_own_components_the_one_told_most_of_becomes_the_hero(own):
    catalogue = own(COMPONENT.format(name="a", more=""), COMPONENT.format(name="b", more=", description: B"))
    assert catalogue.hero == "component:default/b"


def test_an_entity_that_is_written_twice_becomes_no_hero(own):
    twice = [COMPONENT.format(name="b", more=f", description: {text}") for text in "XY"]
    assert own(COMPONENT.format(name="a", more=""), *twice).hero == "component:default/a"


def test_documents_that_break_the_rules_are_counted_and_left_out(own):
    catalogue = own(COMPONENT.format(name="a", more=""), COMPONENT.format(name="-b", more=""), "[]\n")
    assert (len(catalogue.entities), catalogue.refused) == (1, 1)


def test_a_catalogue_without_any_service_is_refused(own):
    with pytest.raises(ConfigError, match="no Component, API, System or Resource"):
        own("apiVersion: backstage.io/v1alpha1\nkind: Domain\nmetadata: {name: d}\nspec: {owner: a}\n")


def _listed(value):
    return [value] if isinstance(value, str) else value or []
