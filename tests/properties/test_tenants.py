"""Two tenants over every operation of the API, at random: no answer to one holds anything of the other.

Both call their entities alike, so that whatever mixes them up shows; what they say of them holds a word that is theirs
alone, and that no request names but to search for it.
"""

import asyncio
import re
import uuid
from contextlib import closing
from itertools import product
from types import SimpleNamespace

import httpx2
import psycopg
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg import conninfo

from mainstem.api.app import Settings, make_app
from schemas.database import migrate
from schemas.entities import Vanished
from schemas.refs import entity_key
from sinks.postgres.model import id_of
from tests.integration.deliveries import NOW, TOPICS, delivery, hold, opened, upsert
from tests.integration.two_tenants import BODIES, CONNECTORS, TENANTS, filled, operations

SECRETS = {"default": "walnut", "acme": "zinnia"}
"""Each tenant's word. Ids and records of the two that `filled` wrote have marks of their own."""
TENANT = st.sampled_from([tenant.id for tenant in TENANTS])
NAMES = ("pay", "ledger", "cart", "mail")
REFS = (
    *(f"component:default/{name}" for name in NAMES),
    "api:default/pay",
    "group:default/team-pay",
    "user:default/jane",
)
REF = st.sampled_from(REFS)
OWNER = st.sampled_from(["team-pay", None])
TABLES = (
    "entities, entity_records, entity_history, stated_relations"
    ", teams, services, service_dependencies, service_runbooks"
)
STEPS = settings(max_examples=8, stateful_step_count=30, deadline=None, phases=[Phase.generate])
CURSOR = re.compile(r'"next_cursor":"([^"]+)"')


@pytest.fixture(scope="module")
def place(postgres):
    """Yield the database, a sink on it, the API in this process and a way to ask it."""
    name = f"tenants_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    dsn = conninfo.make_conninfo(postgres, dbname=name)
    migrate(dsn)
    holds = filled(dsn)
    app = make_app(Settings(dsn=dsn, connectors=CONNECTORS, auth="tokens"))
    with asyncio.Runner() as runner, closing(opened(dsn)) as sink:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost")

        def ask(method, path, tenant, *, query=None, body=None, headers=None):
            token = next(each.tokens["all"] for each in TENANTS if each.id == tenant)
            sent = {"Authorization": f"Bearer {token}", **(headers or {})}
            return runner.run(client.request(method, path, params=query, json=body, headers=sent))

        yield SimpleNamespace(dsn=dsn, sink=sink, ask=ask, holds=holds, every=operations(app.openapi()))
        runner.run(client.aclose())
        runner.run(lifespan.__aexit__(None, None, None))
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Tenants(RuleBasedStateMachine):
    def __init__(self, place):
        super().__init__()
        self.place = place
        self.version = 1
        self.live = {tenant.id: set() for tenant in TENANTS}
        self.cursors, self.etags = ["bm8="], ['"1"']

    @initialize()
    def begin(self):
        with psycopg.connect(self.place.dsn) as connection:
            connection.execute(f"TRUNCATE {TABLES}")
        for tenant in SECRETS:
            self.write(tenant, "component:default/pay", ["component:default/ledger"], None)
            self.write(tenant, f"component:default/of-{tenant}", ["component:default/pay"], "team-pay")
            self.write(tenant, "group:default/team-pay", [], None)

    def teardown(self):
        """At the end of all that happened, each is answered everything that can be read."""
        for tenant, operation in product(SECRETS, self.place.every):
            if operation.reads:
                path = operation.to(self.named(other_of(tenant), "component:default/pay", by="name"))
                self.check(self.place.ask("GET", path, tenant), tenant, sent=path)

    @rule(tenant=TENANT, ref=REF, others=st.lists(REF, max_size=3), owner=OWNER)
    def write(self, tenant, ref, others, owner):
        """An entity comes to be, or says something else."""
        self.version += 1
        secret = SECRETS[tenant]
        spec = {"dependsOn": others, "owner": owner or secret, "lifecycle": secret, "memberOf": ["team-pay"]}
        facts = {
            **dict.fromkeys(("tier", "slackChannel", "scheduleId"), secret),
            "onCall": {"userId": secret, "name": secret},
            "runbooks": [{"title": secret, "url": f"https://{secret}.acme.com"}],
        }
        metadata = {"description": f"of {secret}", "tags": ["common", secret], "title": secret}
        given = {"spec": spec, "service": facts, "metadata": metadata, "provenance": {"/metadata/name": secret}}
        told = hold(ref, self.version, content=said(ref, spec, facts, metadata), **{secret: 1, "git": 2})
        records = delivery(TOPICS.changelog, entity_key(tenant, ref).decode(), told.value)
        self.place.sink.write([upsert(ref, self.version, tenant=tenant, **given), records], {})
        self.live[tenant].add(ref)

    @rule(tenant=TENANT, ref=REF)
    def vanish(self, tenant, ref):
        self.version += 1
        gone = Vanished(tenant=tenant, entity_ref=ref, version=self.version, merged_at=NOW, reason="deleted")
        key = entity_key(tenant, ref).decode()
        self.place.sink.write([delivery(TOPICS.entities, key, None, gone.headers())], {})
        self.live[tenant].discard(ref)

    @rule(data=st.data(), tenant=TENANT, whose=TENANT, ref=REF)
    def ask_anything(self, data, tenant, whose, ref):
        """Any operation, naming what is the caller's, the other's or nobody's, with anything that either was told."""
        known = [each for each in self.place.every if each.path in BODIES or not each.has_body]
        operation = data.draw(st.sampled_from(known))
        named = self.named(whose, ref, by=data.draw(st.sampled_from(["ref", "uuid", "name"])))
        query = data.draw(st.sampled_from(self.queries(operation))) if operation.reads else None
        headers = {"If-None-Match": data.draw(st.sampled_from(self.etags))}
        path = operation.to(named)
        answer = self.place.ask(operation.method, path, tenant, query=query, body=operation.body, headers=headers)
        self.check(answer, tenant, sent=path)
        # What asks Kafka, or publishes, is answered 503: here there is none.
        assert answer.status_code < 500 or answer.status_code == 503
        if whose != tenant and {"connector_id", "name", "hold_id"} & set(operation.parameters):
            assert answer.status_code == 404
        self.cursors += CURSOR.findall(answer.text)
        self.etags += [answer.headers[name] for name in ("etag",) if name in answer.headers]

    @rule(tenant=TENANT, ref=REF)
    def look_up(self, tenant, ref):
        """What is there for one is there for it alone."""
        answer = self.place.ask("GET", f"/v1/entities/{ref.replace('/', '%2F')}", tenant)
        self.check(answer, tenant, sent=ref)
        assert (answer.status_code == 200) == (ref in self.live[tenant])

    @rule(tenant=TENANT, by=st.sampled_from(["q", "tag"]), word=st.sampled_from([None, *SECRETS.values()]))
    def list_them(self, tenant, by, word):
        """A list is what the tenant has; no word of the other finds anything."""
        found = self.place.ask("GET", "/v1/entities", tenant, query={by: word} if word else None)
        self.check(found, tenant)
        refs = {item["entity_ref"] for item in found.json()["items"]}
        assert refs == (self.live[tenant] if word in (None, SECRETS[tenant]) else set())

    def named(self, whose, ref, *, by):
        tenant = next(each for each in TENANTS if each.id == whose)
        group = "group:default/team-pay"
        ids = {
            "ref": (ref, group),
            "uuid": (id_of(whose, ref), id_of(whose, group)),
            "name": (ref.split("/")[1], "team-pay"),
        }
        service, team = ids[by]
        known = {**tenant.names(), "hold_id": self.place.holds[whose]}
        return {**known, "ref": ref, "id": {"/v1/services": service, "/v1/teams": team}}

    def queries(self, operation):
        """Return what to ask with: searches for both words, and cursors, whoever they were given to."""
        found = [None, {"fields": ",".join(operation.parts[::2])}]
        if operation.path in ("/v1/entities", "/v1/services"):
            found += [{name: each} for each in SECRETS.values() for name in ("q", "tag", "tier", "lifecycle", "owner")]
        if not operation.parameters and operation.path.count("/") == 2:
            found += [{"limit": "1"}, *({"limit": "1", "cursor": each} for each in self.cursors[-6:])]
        if operation.path.endswith("/dependencies"):
            found += [{"depth": "20", "direction": each} for each in ("upstream", "downstream", "both")]
        return [each for each in found if each is None or operation.takes(each)]

    def check(self, answer, tenant, *, sent=""):
        """Nothing in an answer is another tenant's, but for an id that the caller itself named."""
        other = other_of(tenant)
        marks = {SECRETS[other], *(id_of(other, ref) for ref in REFS), *foreign_marks(other)}
        text = f"{answer.text} {dict(answer.headers)}"
        assert [mark for mark in marks if mark in text and mark not in sent] == []


def said(ref, spec, facts, metadata):
    kind, _, name = ref.replace("default/", "").partition(":")
    entity = {"apiVersion": "backstage.io/v1alpha1", "kind": kind.title(), "spec": spec}
    return {"entity": {**entity, "metadata": {"name": name, "namespace": "default", **metadata}}, "service": facts}


def other_of(tenant):
    return next(each.id for each in TENANTS if each.id != tenant)


def foreign_marks(tenant):
    return next(each.marks for each in TENANTS if each.id == tenant)


def test_no_answer_to_one_tenant_ever_holds_anything_of_the_other(place):
    run_state_machine_as_test(lambda: Tenants(place), settings=STEPS)
