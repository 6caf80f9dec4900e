"""What the API tells of and to a Backstage: emissions, and the catalogue as location files."""

import json

import psycopg
import pytest
import yaml
from pydantic import SecretStr

from mainstem.api.locations import Locations, Refresh
from schemas.database import migrate
from sinks.backstage.descriptors import shard_of
from tests.integration.test_api import serving
from tests.patience import eventually
from tests.source_server import as_json, source_server, with_status

SECRET = "0123456789abcdef0123456789abcdef"
FILES = f"/backstage/v1/locations/{SECRET}"
EMISSION = """
INSERT INTO backstage_emissions (tenant, entity_ref, shard, version, content, content_hash, state, reason, confirmed_at)
VALUES (%s, %s, %s, %s, '{}', 'h', %s, %s, '2026-05-01T10:00:00.123Z')
"""
ENTITY = """
INSERT INTO entities (tenant, entity_ref, kind, namespace, name, entity, service, provenance, version, content_hash,
                      merged_at, deleted_at)
VALUES ('default', %s, %s, 'default', %s, %s, '{}', '{}', 1, %s, now(), NULL)
ON CONFLICT (tenant, entity_ref) DO UPDATE SET entity = excluded.entity, content_hash = excluded.content_hash
"""


def emit(dsn, ref, *, shard=0, state="applied", reason=None, tenant="default"):
    with psycopg.connect(dsn) as connection:
        connection.execute(EMISSION, (tenant, ref, shard, 7, state, reason))


def put(dsn, name, *, content_hash="h", **metadata):
    body = {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-pay"},
    }
    with psycopg.connect(dsn) as connection:
        values = (f"component:default/{name}", "component", name, psycopg.types.json.Jsonb(body), content_hash)
        connection.execute(ENTITY, values)
    return body


@pytest.fixture
def api(database):
    migrate(database)
    locations = Locations(secret=SecretStr(SECRET), shards=4, kinds=None)
    with serving(dsn=database, locations=locations, token=SecretStr("of-the-api")) as client:
        yield client, database


@pytest.fixture
def listed(database):
    migrate(database)
    with serving(dsn=database) as client:

        def listed(query=""):
            answer = client.get(f"/v1/sinks/backstage/emissions{query}")
            return answer.json() if answer.is_success else answer.status_code

        yield listed


def test_an_emission_is_told_with_what_backstage_said(listed, database):
    emit(database, "component:default/pay", shard=3, state="refused", reason="a sentence")
    emit(database, "component:default/other", tenant="acme")

    expected = {
        "entity_ref": "component:default/pay",
        "shard": 3,
        "version": 7,
        "content_hash": "h",
        "state": "refused",
        "reason": "a sentence",
        "confirmed_at": "2026-05-01T10:00:00.123Z",
    }
    assert listed() == {"items": [expected], "next_cursor": None}


def test_emissions_are_filtered_and_come_in_pages(listed, database):
    for number in range(6):
        emit(database, f"component:default/e{number}", shard=number % 3, state=("applied", "conflict")[number % 2])

    first = listed("?state=applied&state=conflict&shard=0&shard=1&limit=3&fields=entity_ref")
    second = listed(f"?shard=0&shard=1&limit=3&fields=entity_ref&cursor={first['next_cursor']}")
    conflicts = listed("?state=conflict&fields=shard")

    refs = [each["entity_ref"][-2:] for each in first["items"] + second["items"]]
    assert (refs, second["next_cursor"]) == (["e0", "e1", "e3", "e4"], None)
    assert conflicts["items"] == [{"shard": 1}, {"shard": 0}, {"shard": 2}]


@pytest.mark.parametrize("query", ["?state=lost", "?shard=x", "?shard=-1", "?shard=2147483648", "?stat=applied"])
def test_a_filter_that_cannot_be_used_is_refused(query, listed):
    assert listed(query) == 400


def documents(client):
    answers = [client.get(f"{FILES}/{shard}.yaml") for shard in range(4)]
    return [each for answer in answers for each in yaml.safe_load_all(answer.text) if each is not None]


def test_the_files_hold_each_entity_once_and_leave_its_location_to_backstage(api):
    client, dsn = api
    bodies = [put(dsn, f"e{number}", description="on: yes\n---\né 😀") for number in range(9)]
    annotations = {"backstage.io/managed-by-location": "url:x", "acme.com/tier": "1"}
    bodies.append(put(dsn, "pay", annotations=annotations))
    bodies[-1]["metadata"]["annotations"] = {"acme.com/tier": "1"}
    put(dsn, "odd", tags=["Not A Tag"])

    found = sorted(documents(client), key=lambda each: each["metadata"]["name"])

    assert found == bodies


def test_a_file_that_did_not_change_is_not_sent_again(api):
    client, dsn = api
    put(dsn, "pay", content_hash="1")
    tags = [client.get(f"{FILES}/{shard}.yaml").headers["etag"] for shard in range(4)]
    put(dsn, "pay", content_hash="2", description="new")

    again = [
        client.get(f"{FILES}/{shard}.yaml", headers={"If-None-Match": tag}).status_code
        for shard, tag in enumerate(tags)
    ]

    assert (sorted(again), all(tag.startswith('"') for tag in tags)) == ([200, 304, 304, 304], True)


@pytest.mark.parametrize(
    "path",
    ["/backstage/v1/locations/wrong/0.yaml", f"{FILES}/4.yaml", f"{FILES}/0", f"{FILES}/00.yaml", f"{FILES}/x.yaml",
     f"{FILES}/-1.yaml", f"{FILES}/{'9' * 5000}.yaml", "/backstage/v1/locations/%C3%A9/0.yaml"],
)  # fmt: skip
def test_without_the_secret_or_the_shard_there_is_nothing(path, api):
    client, _ = api

    answer = client.get(path)

    assert (answer.status_code, SECRET in answer.text) == (404, False)


def test_there_are_no_files_unless_they_are_configured(database):
    migrate(database)
    with serving(dsn=database) as client:
        assert client.get(f"{FILES}/0.yaml").status_code == 404


def test_the_rest_of_the_api_still_asks_for_its_token(api):
    client, _ = api

    statuses = [client.get(path).status_code for path in ("/v1/entities", "/v1/sinks/backstage/emissions")]

    assert statuses == [401, 401]


# -- a Backstage that is told


def location(shard, name):
    """Return how a Backstage that sees us behind something else shows the location of a file."""
    target = f"https://acme.com/behind{FILES}/{shard}.yaml"
    return {"kind": "Location", "metadata": {"namespace": "default", "name": name}, "spec": {"target": target}}


@pytest.fixture
def reader():
    """Yield a Backstage that reads three of the four files, and the locations that it was told to read anew."""
    other = {"kind": "Location", "metadata": {"name": "of-git"}, "spec": {"targets": ["https://git.acme.com/x.yaml"]}}
    first, second = [other, location(0, "f-0")], [location(1, "f-1"), location(2, "f-2")]
    told = []

    def listed(request):
        if "cursor" in request.params:
            return as_json({"items": second, "pageInfo": {}})
        assert request.params["filter"] == "kind=location"
        return as_json({"items": first, "pageInfo": {"nextCursor": "c"}}, page=1)

    def refreshed(request):
        told.append((json.loads(request.body)["entityRef"], request.headers.get("authorization")))
        return as_json({})

    with source_server() as server:
        server.serve("/api/catalog/entities/by-query", listed)
        server.serve("/api/catalog/refresh", refreshed)
        yield server, told


@pytest.fixture
def telling(database, reader):
    migrate(database)
    refresh = Refresh(base_url=reader[0].url, token=SecretStr("of-backstage"), seconds=0.02)
    locations = Locations(secret=SecretStr(SECRET), shards=4, kinds=None, refresh=refresh)
    return lambda: serving(dsn=database, locations=locations)


def names(told):
    return [ref for ref, _ in told]


def test_a_backstage_is_told_of_the_file_that_changed_and_of_no_other(telling, reader, database):
    _, told = reader
    name = next(f"e{n}" for n in range(100) if shard_of(f"component:default/e{n}".encode(), 4) == 1)
    with telling():
        eventually(lambda: len(told) == 3)
        put(database, name)
        eventually(lambda: len(told) == 4)
        put(database, name, content_hash="another")
        eventually(lambda: len(told) == 5)

    assert names(told) == [f"location:default/f-{shard}" for shard in (0, 1, 2, 1, 1)]
    assert {authorization for _, authorization in told} == {"Bearer of-backstage"}


@pytest.mark.parametrize("page", [0, 1], ids=["telling", "looking up"])
def test_a_backstage_that_failed_is_told_later(page, telling, reader):
    server, told = reader
    server.fail_at(page, with_status(500), times=2)
    with telling():
        eventually(lambda: {*names(told)} == {f"location:default/f-{shard}" for shard in range(3)})
