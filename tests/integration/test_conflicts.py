"""On what connectors disagree, over HTTP, page by page."""

import pytest

from mainstem.api import conflicts
from streams.policy import ConnectorPolicy, Policy
from tests.integration.deliveries import catalogue, hold_each, part, upsert
from tests.integration.test_api import serving

POLICY = Policy(connectors={"git": ConnectorPolicy(priority=50), "team-pay": ConnectorPolicy(priority=60)})
OF = {"/metadata/description": "team-pay", "/service/tier": "team-pay"}


def told(name, *, agreed=False):
    """Return an entity of which two connectors speak, as it was merged and as it is held."""
    other = "by git", "tier2"
    said = {"git": other, "team-pay": other if agreed else ("by its team", "tier1")}
    held = {by: part(name, {"tier": tier}, description=text) for by, (text, tier) in said.items()}
    ref = f"component:default/{name}"
    merged = upsert(ref, 1, service={"tier": said["team-pay"][1]}, spec={"owner": "team-pay"}, provenance=OF)
    return [merged, hold_each(ref, 1, **held)]


@pytest.fixture(scope="module")
def api(postgres):
    alone = [upsert("api:default/pay", 1), hold_each("api:default/pay", 1, git=part("pay", kind="API"))]
    gone = hold_each("component:default/c1", 2, git=part("c1", description="x"), **{"team-pay": None})
    two = [each for n in range(5) for each in told(f"c{n}", agreed=n != 4)]
    with (
        pytest.MonkeyPatch.context() as patch,
        catalogue(postgres, [*alone, *told("pay"), *two, gone]) as dsn,
        serving(dsn=dsn, policy=POLICY) as client,
    ):
        patch.setattr(conflicts, "LOOKED_AT", 3)
        yield client


def pages(api, **query):
    cursor = None
    while True:
        answer = api.get("/v1/conflicts", params={**query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def test_what_connectors_disagree_on_is_told_once_with_what_each_says(api):
    found = [(each["entity_ref"], each["pointer"]) for items in pages(api, limit=1) for each in items]
    refs = "component:default/c4", "component:default/pay"
    assert found == [(ref, at) for ref in refs for at in OF]


def test_a_page_ends_after_so_many_entities_although_it_is_not_full(api):
    assert [len(items) for items in pages(api)] == [0, 2, 2]


def test_a_conflict_names_every_value_and_who_won(api):
    item = [each for items in pages(api) for each in items][-1]
    assert item == {
        "entity_ref": "component:default/pay",
        "pointer": "/service/tier",
        "values": {"team-pay": "tier1", "git": "tier2"},
        "winners": ["team-pay"],
    }


@pytest.mark.parametrize(
    ("query", "count"),
    [({"kind": "component"}, 4), ({"kind": "api"}, 0), ({"tier": "tier1"}, 4), ({"q": "c4"}, 2), ({"owner": "x"}, 0)],
)
def test_conflicts_are_narrowed_by_filters(api, query, count):
    assert sum(len(items) for items in pages(api, **query)) == count


def test_fields_narrow_each_conflict(api):
    assert next(iter(pages(api, fields="pointer", q="c4"))) == [{"pointer": at} for at in OF]
