"""What the module promises, on a real Backstage: its three paths, and what its catalogue shows afterwards."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.backstage.backstage import Backstage
from tests.backstage.entities import component, ref
from tests.patience import eventually


@pytest.fixture
def change(backstage: Backstage) -> Callable[..., dict[str, Any]]:
    def change(*upserts: dict[str, Any], removals: tuple[str, ...] = (), shard: int = 3) -> dict[str, Any]:
        body = {"shard": shard, "upserts": upserts, "removals": removals}
        return backstage.request("POST", "/changes", json=body).raise_for_status().json()

    return change


@pytest.fixture
def replace(backstage: Backstage) -> Callable[..., dict[str, Any]]:
    def replace(shard: int, *entities: dict[str, Any], content: str = "abc") -> dict[str, Any]:
        body = {"entities": entities, "hash": content}
        return backstage.request("PUT", f"/shards/{shard}", json=body).raise_for_status().json()

    return replace


def status(backstage: Backstage, shard: int) -> dict[str, Any]:
    return backstage.request("GET", "/status").raise_for_status().json()["shards"][shard]


def shown(backstage: Backstage, name: str) -> str | None:
    """Return the description of the component that the catalogue shows, None where it shows none."""
    entity = backstage.entity(ref(name))
    return entity and entity["metadata"].get("description", "")


def test_what_was_applied_becomes_visible(backstage, change):
    answer = change(component("pay", description="Takes the money"))

    assert answer == {"applied": [ref("pay")], "removed": [], "refused": [], "conflicts": []}
    assert eventually(lambda: shown(backstage, "pay") == "Takes the money", said=backstage.tail)


def test_a_later_upsert_takes_the_place_of_the_former(backstage, change):
    change(component("till", description="old"))
    change(component("till", description="new"))

    assert eventually(lambda: shown(backstage, "till") == "new", said=backstage.tail)


def test_what_is_refused_is_named_and_the_others_are_applied(backstage, change):
    spoilt = component("no-owner", owner=None)
    envelope = {**component("no-version"), "apiVersion": ""}
    answer = change(spoilt, component("among-refused"), envelope)

    assert [left["entityRef"] for left in answer["refused"]] == [ref("no-owner"), ref("no-version")]
    assert answer["applied"] == [ref("among-refused")]
    assert eventually(lambda: shown(backstage, "among-refused") is not None, said=backstage.tail)


def test_a_kind_of_another_module_is_judged_by_it(change):
    robot, without, ghost = ({**component(name), "kind": kind} for name, kind in KINDS)
    robot["spec"] = {"model": "m1"}
    answer = change(robot, without, ghost)

    assert answer["applied"] == ["robot:default/r2"]
    assert [left["entityRef"] for left in answer["refused"]] == ["robot:default/r3", "ghost:default/g"]


KINDS = (("r2", "Robot"), ("r3", "Robot"), ("g", "Ghost"))


def test_an_upsert_that_is_refused_leaves_the_former(backstage, change, replace):
    change(component("kept", shard=5, description="good"), shard=5)
    change(component("kept", shard=5, description="bad", owner=None), shard=5)
    replace(5, component("kept", shard=5, description="bad", owner=None), component("beside", shard=5))

    assert eventually(lambda: shown(backstage, "beside") is not None, said=backstage.tail)
    assert shown(backstage, "kept") == "good"


def test_a_removal_is_visible_and_may_be_repeated(backstage, change):
    change(component("gone"))
    eventually(lambda: shown(backstage, "gone") is not None, said=backstage.tail)
    answers = [change(removals=(ref("gone"),)) for _ in range(2)]

    assert answers == [{"applied": [], "removed": [ref("gone")], "refused": [], "conflicts": []}] * 2
    assert eventually(lambda: shown(backstage, "gone") is None, said=backstage.tail)


def test_a_full_shard_is_what_it_says_and_nothing_else(backstage, change, replace):
    change(component("old", shard=6), component("both", shard=6), shard=6)
    change(component("of-another", shard=7), shard=7)
    eventually(lambda: shown(backstage, "old") is not None, said=backstage.tail)
    answer = replace(6, component("both", shard=6), component("new", shard=6))

    assert (answer["applied"], answer["removed"]) == ([ref("both"), ref("new")], [ref("old")])
    assert eventually(
        lambda: (
            [shown(backstage, name) is not None for name in ("old", "both", "new", "of-another")]
            == [False, True, True, True]
        ),
        said=backstage.tail,
    )


def test_the_same_full_shard_again_changes_nothing(backstage, replace):
    entities = [component(f"same-{number}", shard=8) for number in range(20)]
    first = replace(8, *entities)

    def held():
        return {name: entity for name, entity in backstage.entities().items() if "same-" in name}

    # Backstage stitches them in any order.
    eventually(lambda: len(held()) == len(entities), said=backstage.tail)
    before = held()
    second = replace(8, *entities)
    after = held()

    assert second == first
    assert {name: entity["metadata"]["etag"] for name, entity in after.items()} == {
        name: entity["metadata"]["etag"] for name, entity in before.items()
    }


@pytest.mark.parametrize("name", ["theirs", "keyless"])
def test_an_entity_of_another_provider_is_told_and_left_alone(backstage, change, replace, name):
    eventually(lambda: shown(backstage, name) == "theirs", said=backstage.tail)
    told = [change(component(name, description="ours")), replace(9, component(name, shard=9, description="ours"))]
    change(removals=(ref(name),))
    replace(9)
    # A marker behind all of it: once it is visible, the others had their turn.
    change(component(f"after-{name}"))
    eventually(lambda: shown(backstage, f"after-{name}") is not None, said=backstage.tail)

    assert [(answer["applied"], [left["entityRef"] for left in answer["conflicts"]]) for answer in told] == [
        ([], [ref(name)])
    ] * 2
    assert shown(backstage, name) == "theirs"


def test_an_entity_of_another_shard_is_a_conflict_until_that_one_lets_go(change):
    change(component("moved", shard=10), shard=10)
    before = change(component("moved", shard=11), shard=11)
    change(removals=(ref("moved"),), shard=10)
    after = change(component("moved", shard=11), shard=11)

    assert before["conflicts"] == [{"entityRef": ref("moved"), "reason": "the catalogue has it from mainstem:shard-10"}]
    assert after["applied"] == [ref("moved")]


def test_the_status_tells_what_each_shard_holds(backstage, change, replace):
    replace(12, component("counted", shard=12), component("counted-too", shard=12), content="h1")
    full = status(backstage, 12)
    change(removals=(ref("counted"),), shard=12)
    delta = status(backstage, 12)

    assert (full["hash"], full["entities"], delta["hash"], delta["entities"]) == ("h1", 2, None, 1)
    assert full["applied_at"] < delta["applied_at"]


@pytest.mark.parametrize(
    "headers", [{"Authorization": ""}, {"Authorization": "Bearer wrong"}], ids=["without a token", "a wrong token"]
)
def test_who_has_no_token_is_let_in_nowhere(backstage, headers):
    answers = [
        backstage.request(method, path, json={"shard": 3}, headers=headers)
        for method, path in (("POST", "/changes"), ("PUT", "/shards/3"), ("GET", "/status"))
    ]

    assert [answer.status_code for answer in answers] == [httpx2.codes.UNAUTHORIZED] * 3


@pytest.mark.parametrize(
    ("method", "path", "content", "code"),
    [
        ("POST", "/changes", b'{"shard": 16}', 404),
        ("PUT", "/shards/16", b'{"entities": [], "hash": "a"}', 404),
        ("POST", "/changes", b'{"shard": 3, "upserts": {}}', 400),
        ("POST", "/changes", b'{"shard": 3, "canary": secret}', 400),
        ("POST", "/changes", b'{"shard": 3, "upserts": ["' + b"canary" * 200_000 + b'"]}', 413),
    ],
    ids=["no such shard", "no such shard to fill", "not of the form", "no JSON", "over the limit"],
)
def test_a_request_that_cannot_be_served_is_answered_in_words(backstage, method, path, content, code):
    headers = {"Authorization": f"Bearer {backstage.token}", "Content-Type": "application/json"}
    answer = backstage.request(method, path, content=content, headers=headers)

    assert answer.status_code == code
    assert answer.json()["error"]["message"]
    assert "canary" not in answer.text
