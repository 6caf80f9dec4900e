"""OWASP API Security Top 10 (2023): of each risk one test that bears its name, against the real server and database.

What is asked of every operation is asked of what the document lists, so that a new path is asked as well.
"""

import re
import socket
import uuid
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from mainstem.access import tokens
from mainstem.access.jwt import Issuer
from mainstem.api import app as api_app
from mainstem.api import body_cap
from mainstem.api.app import Settings, make_app
from mainstem.api.description import describe
from mainstem.api.locations import Locations
from mainstem.api.routing import refuse_unadmitting
from mainstem.api.server import Patient
from tests.integration.answering import answering
from tests.integration.connector_rows import migrated
from tests.integration.test_api import serving
from tests.integration.test_jwt import ISSUER, Keys, published
from tests.integration.two_tenants import CONNECTORS, SCOPES, TENANTS, filled, operations, sent
from tests.patience import granted

OURS, THEIRS = TENANTS
SECRET = "canary-of-the-locations"
HIDDEN = {"/livez", "/readyz", "/metrics", "/v1/docs", "/v1/openapi.json", "/backstage/v1/locations/{secret}/{name}"}
"""Served and not in the document: what operators ask, the document itself, and what a Backstage reads."""
NOWHERE = {"ref": "component:default/nowhere", "connector_id": "nowhere", "name": "nowhere", "id": "nowhere",
           "hold_id": str(uuid.UUID(int=0))}  # fmt: skip
NARROWED = ("/v1/entities/{ref}", "/v1/services/{id}", "/v1/teams/{id}", "/v1/connectors/{connector_id}/status")
OF_KAFKA = ("/v1/events", "/v1/teams/{id}/dead-letters")
"""Answered 503 here, where there is none."""
ASKED = ("/v1/validate", "/v1/simulate")
"""Asked with a body, and change nothing."""
TOO_MUCH = (
    "entities?limit=501",
    "services?limit=0",
    f"services/{OURS.service.replace('/', '%2F')}/dependencies?depth=21",
)
NOT_SERVED = (
    *("/v0/entities", "/v2/entities", "/entities", "/docs", "/redoc", "/openapi.json", "/v1/docs/oauth2-redirect"),
    *("/debug", "/admin", "/v1/internal", "/.env", "/v1/entities/../../etc/passwd"),
)
LOG = "SELECT actor, tenant, status FROM audit_log WHERE parameters ->> 'hold_id' = %s ORDER BY id"
REFERENCE = Path(__file__).parents[2] / "docs/reference/api.md"


@pytest.fixture(scope="module")
def place(postgres):
    with migrated(postgres) as dsn:
        holds = filled(dsn)
        yield dsn, {tenant.id: {**tenant.names(), "hold_id": holds[tenant.id]} for tenant in TENANTS}


@pytest.fixture(scope="module")
def names(place):
    return place[1]


@pytest.fixture(scope="module")
def api(place):
    locations = Locations(secret=SecretStr(SECRET), shards=1, kinds=None)
    with serving(dsn=place[0], connectors=CONNECTORS, auth="tokens", locations=locations) as client:
        yield client


@pytest.fixture(scope="module")
def every(api):
    return operations(get(api, "/v1/openapi.json", OURS.tokens["read"]).json())


def get(client, path, token=None, **headers):
    return client.get(path, headers={**({"Authorization": f"Bearer {token}"} if token else {}), **headers})


def told(answer):
    """Return all that an answer says: body, and headers that are not of the moment."""
    return f"{answer.text} {[value for name, value in answer.headers.items() if name != 'date']}"


def marks_in(answer, tenant):
    return [mark for mark in tenant.marks if mark in told(answer)]


def test_api1_broken_object_level_authorization(api, every, names):
    """What belongs to another tenant is answered, word for word, as what is not there."""
    seen, unlike = [], []
    for operation in every:
        answer = sent(api, operation, OURS.tokens["all"], names["acme"])
        seen += [(operation.path, mark) for mark in marks_in(answer, THEIRS) if mark not in answer.url.path]
        if operation.parameters:
            absent = sent(api, operation, OURS.tokens["all"], NOWHERE)
            # What is written down by hand is the caller's own, whoever else has one of that name.
            wanted = absent.status_code if operation.method == "PUT" else 404
            if (answer.status_code, absent.status_code) != (wanted, wanted):
                unlike.append((operation, answer.status_code, absent.status_code))
    reads = [each for each in every if each.reads and each.parameters and each.path not in OF_KAFKA]
    found = [sent(api, each, THEIRS.tokens["all"], names["acme"]).status_code for each in reads]
    lists = [
        sent(api, each, THEIRS.tokens["all"], {}) for each in every if each.path in ("/v1/entities", "/v1/services")
    ]
    assert (unlike, seen, set(found)) == ([], [], {200})
    assert [bool(marks_in(each, THEIRS)) for each in lists] == [True, True]


def test_api2_broken_authentication(api, every, place):
    """Nothing but a token that holds now opens anything; what cannot be a token costs no look at the database."""
    good = OURS.tokens["read"]
    with psycopg.connect(place[0]) as connection:
        kept = str(connection.execute("SELECT row_to_json(api_tokens)::text FROM api_tokens").fetchall())
        tokens_of = {}
        for state, change in (("revoked_at", "now()"), ("expires_at", "now() - interval '1 second'")):
            token = tokens_of[state] = f"mst_{state[0] * 43}"
            connection.execute(
                "INSERT INTO api_tokens (id, tenant, name, hash, scopes, created_by)"
                " VALUES (%s, 'default', 'x', %s, %s, '')",
                (state, tokens.hashed(token), ["read"]),
            )
            connection.execute(f"UPDATE api_tokens SET {state} = {change} WHERE id = %s", [state])
    refused = [
        *(f"Bearer {each}" for each in ("x", "mst_" + "x" * 43, good[:-1], f"{good}x", good.upper(), f"{good} {good}")),
        *(f"Bearer {each}" for each in tokens_of.values()),
        *(good, f"Basic {good}", f"Token {good}", "Bearer", f"Bearer\t{good}"),
    ]
    answers = {each: get(api, "/v1/entities", Authorization=each) for each in refused}
    codes = {each: answer.status_code for each, answer in answers.items()}
    words = {each: (answer.json(), answer.headers["www-authenticate"]) for each, answer in answers.items()}
    elsewhere = [get(api, f"/v1/entities?token={good}"), get(api, "/v1/entities", Cookie=f"token={good}")]
    guarded = {sent(api, each, None, NOWHERE).status_code for each in every}
    with serving(dsn="host=/nowhere dbname=x", auth="tokens") as client:
        forms = [get(client, "/v1/entities", each).status_code for each in ("mst_short", "mst_" + "!" * 43, "a.b.c")]
    assert set(codes.values()) == {401}, codes
    assert ([each.status_code for each in elsewhere], guarded, forms) == ([401, 401], {401}, [401, 401, 401])
    assert {header for _, header in words.values()} == {"Bearer", 'Bearer error="invalid_token"'}
    # Of a token that ended nothing else is said than of one that never was.
    assert len({str(told) for told in words.values()}) == 2
    assert not [token for tenant in TENANTS for token in tenant.tokens.values() if token[4:] in kept]


def test_api2_broken_authentication_by_a_trailer(api):
    """Who asks is said before the body: no proxy in front looks behind it."""
    said = f"Authorization: Bearer {OURS.tokens['read']}\r\n".encode()
    body = b"2\r\n{}\r\n0\r\n"
    codes = []
    for text in (b"\r\n" + body + said, said + b"\r\n" + body):
        with socket.create_connection((api.base_url.host, api.base_url.port), 20) as connection:
            connection.sendall(CHUNKED[:-2] + text + b"\r\n")
            codes.append(connection.recv(65_536)[9:12])
    assert codes == [b"401", b"422"]


def test_api3_broken_object_property_level_authorization(api, every, names, place):
    """No answer has a property that its caller was not to see, and no body sets one that is not its own."""
    own = partial(sent, api, token=OURS.tokens["all"], names=names["default"])
    answers = [own(each) for each in every if each.reads]
    inner = "tenant,tenant_id,hash,projected,search,__class__"
    narrowed = [own(each, fields=inner) for each in every if each.reads and each.path in NARROWED]
    secrets = [SECRET, *OURS.tokens.values(), *(tokens.hashed(each).hex() for each in OURS.tokens.values()), place[0]]
    steered = [
        api.post(f"/v1/connectors/{OURS.connector}/sync", json={"full": True, name: value},
                 headers={"Authorization": f"Bearer {OURS.tokens['operate']}"}).status_code
        for name, value in (("tenant", "acme"), ("connector_id", THEIRS.connector), ("paused", False))
    ]  # fmt: skip
    assert [(each.url.path, secret) for each in answers for secret in secrets if secret in told(each)] == []
    refused = [(each.status_code, each.json().get("unknown")) for each in narrowed]
    assert refused == [(400, sorted(inner.split(",")))] * len(NARROWED)
    assert steered == [422, 422, 422]


def test_api4_unrestricted_resource_consumption(place, monkeypatch):
    """Sizes, depths, times and queues have an end, and whoever is slow keeps nobody else waiting."""
    for owner, name, value in (
        (Patient, "head_seconds", 0.3),
        (body_cap, "SECONDS", 0.3),
        (api_app, "POOL_SECONDS", 0.3),
        (api_app, "STATEMENT_MS", 900),
    ):
        monkeypatch.setattr(owner, name, value)
    big = b"x" * (body_cap.MAX_BYTES + 1)
    with serving(dsn=place[0], pool_max=1, auth="none") as client, ExitStack() as open_ones:
        at = client.base_url.host, client.base_url.port
        slow = [open_ones.enter_context(socket.create_connection(at, 20)) for _ in range(20)]
        for each in slow:
            each.sendall(b"GET /livez HTTP/1.1\r\nHost: local")
        meanwhile = get(client, "/livez").status_code
        asked = [get(client, f"/v1/{each}").status_code for each in TOO_MUCH]
        sizes = [client.post("/v1/validate", content=each).status_code for each in (big, iter([big[:600_000]] * 2))]
        dripped = said_slowly(at)
        ended = [each.recv(1) for each in slow]
        with psycopg.connect(place[0]) as connection:
            connection.execute("LOCK TABLE entities")
            stuck = get(client, "/v1/entities")
    assert (meanwhile, asked, sizes, set(ended)) == (200, [400, 400, 400], [413, 413], {b""})
    assert dripped.startswith(b"HTTP/1.1 408 ")
    assert (stuck.status_code, stuck.headers["retry-after"]) == (503, "5")


ENOUGH = 20_000_000
"""More than what lies between two sockets of one machine."""
CHUNKED = b"POST /v1/validate HTTP/1.1\r\nHost: local\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a head": (b"GET /livez HTTP/1.1\r\n", b"X-Far: 1\r\n"),
    "trailers": (CHUNKED + b"1\r\n{\r\n0\r\n", b"X-Far: 1\r\n"),
    "one trailer": (CHUNKED + b"1\r\n{\r\n0\r\nX-Far: ", b"1"),
    "what a chunk says of itself": (CHUNKED + b"1;", b"1"),
    "a head behind a request that waits": (
        b"GET /v1/entities HTTP/1.1\r\nHost: local\r\n\r\nGET /livez HTTP/1.1\r\n",
        b"X-Far: 1\r\n",
    ),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_api4_unrestricted_resource_consumption_by_what_is_no_body(place, what):
    """Nobody fills the memory beside the body, which has its own end."""
    begin, more = ENDLESS[what]
    sent_bytes = 0
    with serving(dsn=place[0], auth="none") as client, psycopg.connect(place[0]) as connection:
        # Whoever asks the database is not answered meanwhile.
        connection.execute("LOCK TABLE entities")
        with socket.create_connection((client.base_url.host, client.base_url.port), 20) as caller:
            caller.sendall(begin)
            with suppress(ConnectionError):
                while sent_bytes < ENOUGH:
                    caller.sendall(more * 6_000)
                    sent_bytes += len(more) * 6_000
    assert sent_bytes < ENOUGH


def said_slowly(at):
    """Return the answer to a body that does not come."""
    with socket.create_connection(at, 20) as connection:
        connection.sendall(b"POST /v1/validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        return connection.recv(65_536)


def test_api5_broken_function_level_authorization(api, every):
    """Each operation answers exactly the callers whose token has the scope that it names."""
    wrong = [
        (operation, scope, code)
        for operation in every
        for scope in SCOPES
        if ((code := sent(api, operation, OURS.tokens[scope], NOWHERE).status_code) != 403)
        != (scope == operation.scope)
    ]
    writes = {each.scope for each in every if not each.reads and each.path not in ASKED}
    may = {"Authorization": f"Bearer {OURS.tokens['all']}"}
    others = [
        api.request(each, "/v1/connectors", headers=may).status_code for each in ("POST", "PUT", "PATCH", "TRACE")
    ]
    unscoped = FastAPI()
    unscoped.add_api_route("/v1/forgotten", lambda: None, methods=["POST"])
    with pytest.raises(ValueError, match="POST /v1/forgotten changes something and names no scope"):
        describe(unscoped, has_tokens=True)
    with pytest.raises(ValueError, match="/v1/forgotten admits anybody"):
        refuse_unadmitting(unscoped)
    assert wrong == []
    assert "read" not in writes
    assert others == [405] * 4


def test_api6_unrestricted_access_to_sensitive_business_flows(api, place, names):
    """Mass deletions are let through by whoever may operate, once, and the log has it before it happens."""
    held = names["acme"]["hold_id"]
    path = f"/v1/connectors/{THEIRS.connector}/held-deletions/{held}"

    def send(token, what):
        return api.post(f"{path}/{what}", headers={"Authorization": f"Bearer {token}"}).status_code

    lesser = [THEIRS.tokens[each] for each in SCOPES if each != "operate"]
    kept_out = [send(each, "approve") for each in (OURS.tokens["all"], *lesser)]
    with psycopg.connect(place[0]) as connection:
        before = connection.execute("SELECT state FROM held_deletions WHERE hold_id = %s", [held]).fetchone()
    decided = [send(THEIRS.tokens["operate"], each) for each in ("approve", "approve", "reject")]
    with psycopg.connect(place[0]) as connection:
        log = connection.execute(LOG, [held]).fetchall()
    by = (f"{THEIRS.mark}-operate", "acme")
    assert (kept_out, before) == ([404] + [403] * (len(SCOPES) - 1), ("held",))
    assert decided == [202, 409, 409]
    assert log[-3:] == [(*by, 202), (*by, 409), (*by, 409)]


def test_api7_server_side_request_forgery(place):
    """No caller makes the server ask an address: not by a token, a body, a header, nor by where the keys lead."""
    with answering() as canary, published(Keys()) as good, answering(302, b"", Location=canary.url) as elsewhere:
        key = Keys().keys[0]
        forged = [Keys().token(key, header={name: canary.url}) for name in ("jku", "x5u")]
        change = {"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Location", "metadata": {
            "name": "pay", "annotations": {"backstage.io/managed-by-location": f"url:{canary.url}"}},
            "spec": {"target": canary.url, "definition": {"$text": canary.url}}}}  # fmt: skip
        for jwks in (good, elsewhere.url):
            issuer = Issuer(jwks_url=jwks, issuer=ISSUER, audience="backstage", scopes=("read",))
            with serving(dsn=place[0], issuer=issuer, token=SecretStr("s3cret")) as client:
                told_no = [get(client, "/v1/entities", each).status_code for each in forged]
                client.headers.update({"Authorization": "Bearer s3cret", "X-Forwarded-Host": canary.host})
                client.post("/v1/validate", json=change)
                get(client, "/v1/entities", Host=canary.host)
            assert set(told_no) == {401 if jwks == good else 503}
        assert (canary.asked, elsewhere.asked) == (0, 1)


def test_api8_security_misconfiguration(api, place):
    """Answers of every kind are for the caller alone, tell nothing of what made them, and let no web page in."""
    origin = {"Origin": "https://pages.acme.com"}
    token = OURS.tokens["read"]
    with serving(dsn=place[0], auth="none", policy=None) as broken:
        answers = [
            get(broken, f"/v1/entities/{OURS.service.replace('/', '%2F')}/explain", **origin),
            get(api, "/v1/entities", token, **origin),
            get(api, "/v1/entities", **origin),
            get(api, "/v1/entities?limit=x", token, **origin),
            get(api, "/v1/connectors/nowhere/status", token, **origin),
            get(api, f"/backstage/v1/locations/{SECRET}/0.yaml", **origin),
            get(api, "/backstage/v1/locations/guess/0.yaml", **origin),
            get(api, "/readyz", **origin),
            api.options("/v1/entities", headers={**origin, "Access-Control-Request-Method": "POST"}),
        ]
    assert [each.status_code for each in answers] == [500, 200, 401, 400, 404, 200, 404, 200, 401]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(answer.headers)
        assert not re.search(r"Traceback|AttributeError|\.py\b|psycopg|SELECT |postgres", answer.text)
    assert answers[0].headers["content-type"] == "application/problem+json"


def test_api9_improper_inventory_management(api, every):
    """Whatever is served is in the document and on its page, and nothing of another version answers."""
    app = make_app(Settings(dsn=""))
    served = {route.path_format or route.path for route in iter_route_contexts(app.routes)}
    documented = {each.path for each in every}
    page = REFERENCE.read_text(encoding="utf-8")
    assert served - documented == HIDDEN
    assert [each.path for each in every if f"`{each.method} {each.path}`" not in page] == []
    assert {get(api, each, OURS.tokens["all"]).status_code for each in NOT_SERVED} == {404}
    assert {get(api, each).status_code for each in ("/v1/docs", "/v1/openapi.json")} == {401}


DEEP = b'{"keys": ' + b"[" * 100_000
KEYS = [
    (200, b" " * 2_000_000, {}),
    (200, DEEP, {}),
    (200, b"<html>log in</html>", {}),
    (200, b'{"keys": [{"kty": "oct", "k": "czNjcmV0", "kid": "first"}]}', {}),
    (200, b'{"keys": [7, null, {"kty": "EC", "crv": "P-256", "x": 1, "kid": "first"}]}', {}),
    (200, b'{"keys": {}}', {}),
    (200, b"[]", {}),
    (200, b"\x1f\x8b\x08", {"Content-Encoding": "gzip"}),
    (500, b"Traceback (most recent call last)", {}),
]


@pytest.mark.parametrize(("status", "body", "headers"), KEYS)
def test_api10_unsafe_consumption_of_apis(place, status, body, headers):
    """Whatever an issuer answers for its keys, what it signed is not let in by it, and all others are served."""
    with answering(status, body, **headers) as issuer:
        check_keys(place[0], issuer.url)


def test_api10_unsafe_consumption_of_apis_that_never_end(place, monkeypatch):
    monkeypatch.setattr("mainstem.access.jwt._ANSWER_SECONDS", 0.5)
    with answering(200, b" ", forever=True) as issuer:
        began = granted()
        check_keys(place[0], issuer.url)
    assert granted() - began < 10


def check_keys(dsn, url):
    issuer = Issuer(jwks_url=url, issuer=ISSUER, audience="backstage", scopes=("read",))
    deep = ".".join(["W1tb" * 4_000, "e30", ""])
    with serving(dsn=dsn, issuer=issuer) as client:
        codes = [get(client, "/v1/entities", token) for token in (Keys().token(), deep, OURS.tokens["read"])]
    assert {codes[0].status_code, codes[1].status_code} <= {401, 503}
    assert codes[2].status_code == 200
