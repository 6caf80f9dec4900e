"""Tokens that others sign, checked with the keys of a server that publishes them."""

import base64
import hmac
import json
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from mainstem.access import jwt as access_jwt
from mainstem.access.jwt import Issuer
from tests.integration.connector_rows import migrated
from tests.integration.deliveries import opened, upsert
from tests.integration.test_api import serving

ISSUER = "https://backstage.acme.com/api/auth"


class Keys:
    """An issuer: its keys, how often they were asked for, and whether it is there at all."""

    def __init__(self):
        self.keys = [ECKey.generate_key("P-256", {"kid": "first"})]
        self.asked = 0
        self.is_away = False

    def token(self, key=None, *, header=None, **claims):
        key = key or self.keys[-1]
        claims = {"iss": ISSUER, "aud": "backstage", "sub": "user:default/jane", "exp": int(time.time()) + 60, **claims}
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": key.kid, **(header or {})}, kept, key)


def _part(header):
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")


@contextmanager
def published(keys):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            keys.asked += 1
            body = json.dumps({"keys": [key.as_dict(private=False) for key in keys.keys]}).encode()
            self.send_response(500 if keys.is_away else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/jwks.json"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def dsn(postgres):
    with migrated(postgres) as dsn:
        yield dsn


@pytest.fixture
def issuer(dsn):
    keys = Keys()
    with published(keys) as url:
        issuer = Issuer(jwks_url=url, issuer=ISSUER, audience="backstage", scopes=("read",))
        with serving(dsn=dsn, issuer=issuer) as client:
            yield keys, lambda token: client.get("/v1/connectors", headers={"Authorization": f"Bearer {token}"})


def test_a_token_of_the_issuer_opens_what_the_configuration_allows(issuer):
    keys, ask = issuer
    assert (ask(keys.token()).status_code, ask(keys.token()).status_code, keys.asked) == (200, 200, 1)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.acme.com"},
        {"aud": "other"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"sub": 7},
        {"nbf": 9_999_999_999},
    ],
)
def test_a_token_for_somebody_else_or_another_time_is_refused(issuer, claims):
    keys, ask = issuer
    assert ask(keys.token(**claims)).status_code == 401


def test_a_token_that_the_issuer_did_not_sign_is_refused(issuer):
    keys, ask = issuer
    stranger = ECKey.generate_key("P-256", {"kid": "first"})
    head, body, signature = keys.token().split(".")
    forged = [
        keys.token(stranger),
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
        f"{_part({'alg': 'none', 'kid': 'first'})}.{body}.",
        "a.b.c",
        "..",
    ]
    assert {ask(token).status_code for token in forged} == {401}


def test_a_public_key_is_no_shared_secret(issuer):
    keys, ask = issuer
    body = keys.token().split(".")[1]
    signed = f"{_part({'alg': 'HS256', 'kid': 'first'})}.{body}"
    codes = []
    for secret in (keys.keys[0].as_pem(private=False), json.dumps(keys.keys[0].as_dict(private=False)).encode()):
        signature = hmac.digest(secret, signed.encode(), "sha256")
        codes.append(ask(f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}").status_code)
    assert codes == [401, 401]


def test_a_token_that_names_its_scopes_has_no_more_than_those(issuer):
    keys, ask = issuer
    assert [ask(keys.token(scope=scope)).status_code for scope in ("openid read", "openid", "operate")] == [
        200,
        403,
        403,
    ]


def test_a_new_key_is_fetched_and_made_up_ones_are_not_asked_for_again_and_again(issuer, monkeypatch):
    monkeypatch.setattr(access_jwt, "PAUSE_SECONDS", 0.5)
    keys, ask = issuer
    ask(keys.token())
    keys.keys.append(ECKey.generate_key("P-256", {"kid": "second"}))
    time.sleep(0.6)
    rotated = ask(keys.token()).status_code
    monkeypatch.setattr(access_jwt, "PAUSE_SECONDS", 60.0)
    for number in range(20):
        ask(keys.token(ECKey.generate_key("P-256", {"kid": f"made-up-{number}"})))
    assert (rotated, keys.asked) == (200, 2)


@pytest.fixture(scope="module")
def of_two(dsn):
    """A database with an entity of each of two tenants."""
    with closing(opened(dsn)) as sink:
        sink.write([upsert(f"component:default/{tenant}-pay", 1, tenant=tenant) for tenant in ("default", "acme")], {})
    return dsn


@pytest.fixture
def of_tenants(of_two):
    """An issuer whose tokens name their tenant."""
    keys = Keys()
    with published(keys) as url:
        named = {"tenant_claim": "acme_tenant", "tenants": ("default", "acme")}
        issuer = Issuer(jwks_url=url, issuer=ISSUER, audience="backstage", scopes=("read", "operate"), **named)
        with serving(dsn=of_two, issuer=issuer) as client:
            yield keys, lambda path, token: client.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("tenant", "other"), [("default", "acme"), ("acme", "default")])
def test_a_token_shows_the_tenant_that_its_claim_names_and_nothing_of_another(of_tenants, tenant, other):
    keys, ask = of_tenants
    token = keys.token(acme_tenant=tenant, scope="read")
    found = [item["entity_ref"] for item in ask("/v1/entities", token).json()["items"]]
    codes = [ask(f"/v1/{noun}/component:default%2F{other}-pay", token).status_code for noun in ("entities", "services")]
    assert (found, codes) == ([f"component:default/{tenant}-pay"], [404, 404])


@pytest.mark.parametrize("claim", [None, "", "nowhere", "Acme", "acme|component:default/pay", ["acme"], 7, True])
def test_a_token_that_names_no_tenant_of_ours_is_refused(of_tenants, claim):
    keys, ask = of_tenants
    assert ask("/v1/entities", keys.token(acme_tenant=claim)).status_code == 401


def test_a_token_of_a_tenant_has_no_more_scopes_than_it_names(of_tenants):
    keys, ask = of_tenants
    token = keys.token(acme_tenant="acme", scope="openid operate")
    assert ask("/v1/entities", token).status_code == 403


def test_without_the_setting_a_claim_is_no_tenant(of_two):
    keys = Keys()
    with published(keys) as url:
        plain = Issuer(jwks_url=url, issuer=ISSUER, audience="backstage", scopes=("read",))
        with serving(dsn=of_two, issuer=plain) as client:
            headers = {"Authorization": f"Bearer {keys.token(acme_tenant='acme')}"}
            codes = [
                client.get(f"/v1/entities/component:default%2F{tenant}-pay", headers=headers).status_code
                for tenant in ("default", "acme")
            ]
    assert codes == [200, 404]


def test_while_the_issuer_is_away_a_token_is_not_judged(dsn):
    keys = Keys()
    keys.is_away = True
    with published(keys) as url:
        issuer = Issuer(jwks_url=url, issuer=ISSUER, audience="backstage", scopes=("read",))
        with serving(dsn=dsn, issuer=issuer) as client:
            answer = client.get("/v1/connectors", headers={"Authorization": f"Bearer {keys.token()}"})
            without = client.get("/v1/connectors")
    assert (answer.status_code, answer.headers["retry-after"], without.status_code) == (503, "5", 401)
