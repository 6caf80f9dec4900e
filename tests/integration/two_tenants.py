"""Two tenants in one database, alike but for the names of what they have, and every operation of the API filled in."""

import asyncio
import json
from contextlib import closing
from dataclasses import dataclass, field

from psycopg import AsyncConnection

from mainstem.access import scopes, tokens
from mainstem.api.description import narrowable
from sinks.postgres.model import id_of
from sources.steering import Configured
from tests.integration.connector_rows import Rows
from tests.integration.deliveries import delivery, hold, opened, upsert

SCOPES = (*sorted(scopes.ALL), "publish:git")


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """*mark* stands in whatever the tenant has, and in nothing that another one has."""

    id: str
    mark: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def service(self):
        return f"component:default/{self.mark}-pay"

    @property
    def team(self):
        return f"group:default/{self.mark}-team"

    @property
    def connector(self):
        return f"{self.mark}-git"

    @property
    def marks(self):
        """What tells of the tenant: its mark, and the ids that are made of its name."""
        return (self.mark, id_of(self.id, self.service), id_of(self.id, self.team))

    def entities(self):
        ledger = f"component:default/{self.mark}-ledger"
        common = {"tenant": self.id, "provenance": {"/metadata/name": self.connector}}
        facts = {
            "tier": "tier1",
            "onCall": {"userId": f"{self.mark}-jane", "name": f"Jane {self.mark}"},
            "runbooks": [{"title": self.mark, "url": f"https://run.acme.com/{self.mark}"}],
        }
        spec = {"owner": self.team, "dependsOn": [ledger], "lifecycle": "production"}
        metadata = {"description": f"takes the money of {self.mark}", "tags": ["common", self.mark]}
        return [
            upsert(self.service, 1, spec=spec, service=facts, metadata=metadata, **common),
            upsert(ledger, 1, spec={"owner": self.team}, **common),
            upsert(self.team, 1, **common),
        ]

    def records(self):
        """What the tenant's connector says of the service."""
        kind, _, name = self.service.partition(":default/")
        said = {"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": kind.title(),
                           "metadata": {"name": name, "namespace": "default"},
                           "spec": {"owner": self.team}}, "service": {"tier": self.mark}}  # fmt: skip
        told = hold(self.service, 1, content=said, **{self.connector: 1})
        key = told.key.decode() if self.id == "default" else f"{self.id}|{told.key.decode()}"
        return [delivery(told.topic, key, told.value)]

    def names(self):
        """Return, by path and parameter, what of the tenant's a path can name; `hold_id` is filled in by its maker."""
        return {
            "ref": self.service,
            "connector_id": self.connector,
            "name": self.connector,
            "id": {"/v1/services": self.service, "/v1/teams": self.team},
        }


TENANTS = (Tenant(id="default", mark="walrus"), Tenant(id="acme", mark="zebra"))
CONNECTORS = tuple(Configured(id=tenant.connector, type="git", tenant=tenant.id, is_central=True) for tenant in TENANTS)
BODIES = {
    "/v1/connectors/{connector_id}/sync": {"full": True},
    "/v1/simulate": {"without": [tenant.connector for tenant in TENANTS]},
    "/v1/services/{id}/override": {"field": "/service/tier", "value": "tier2", "reason": "a test"},
    "/v1/entities/{ref}": {"entity": {"kind": "Component", "metadata": {"name": "pay"}}},
    "/v1/validate": {"op": "delete", "entityRef": "component:default/pay"},
}
"""Of each operation that takes a body, one that it takes."""


def filled(dsn):
    """Write what the tenants have, and tokens for each: of every scope, and of all. Return their holds by tenant."""
    with closing(opened(dsn)) as sink:
        for tenant in TENANTS:
            sink.write([*tenant.entities(), *tenant.records()], {})
    holds = {}
    for tenant in TENANTS:
        rows = Rows(dsn, tenant.connector)
        holds[tenant.id] = str(rows.hold(f"{tenant.mark}-gone"))
        rows.run("failed", error_class="SourceError", error_message=f"{tenant.mark} is gone")
        error = {"last_error_class": "SourceError", "last_error_message": f"{tenant.mark} is gone"}
        rows.state(**error, consecutive_failures=1, since=json.dumps({"commit": tenant.mark}))
    asyncio.run(_mint(dsn))
    return holds


async def _mint(dsn):
    async with await AsyncConnection.connect(dsn) as connection:
        for tenant in TENANTS:
            for scope in (*SCOPES, "all"):
                given = SCOPES if scope == "all" else [scope]
                wanted = tokens.Wanted(scopes=given, by="test", tenant=tenant.id, name=f"{tenant.mark}-{scope}")
                tenant.tokens[scope] = (await tokens.create(connection, wanted)).token


@dataclass(frozen=True)
class Operation:
    """One of the API's operations, as its document has it."""

    method: str
    path: str
    scope: str
    parameters: tuple[str, ...]
    has_body: bool
    queried: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    @property
    def reads(self):
        return self.method == "GET"

    def to(self, names):
        """Return the path with all that it names, KeyError for a parameter of which nothing is known here yet."""
        found = self.path
        for each in self.parameters:
            value = names[each]
            if isinstance(value, dict):
                value = value[next(prefix for prefix in value if self.path.startswith(prefix))]
            found = found.replace(f"{{{each}}}", value.replace("/", "%2F"))
        return found

    def takes(self, query):
        return set(query) <= set(self.queried)

    @property
    def body(self):
        return BODIES[self.path] if self.has_body else None


def operations(document):
    return [
        Operation(
            method.upper(),
            path,
            said["x-scope"],
            tuple(each["name"] for each in said.get("parameters", ()) if each["in"] == "path"),
            "requestBody" in said,
            tuple(each["name"] for each in said.get("parameters", ()) if each["in"] == "query"),
            tuple(
                each["name"] for each in said.get("parameters", ()) if each["in"] == "query" and each.get("required")
            ),
            tuple(narrowable(document, path)),
        )
        for path, methods in document["paths"].items()
        for method, said in methods.items()
    ]


REQUIRED = {"field": "/service/tier"}
"""Of parameters in the query that an operation cannot do without."""


def sent(client, operation, token, names, **query):
    query = {each: REQUIRED[each] for each in operation.required} | query
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.request(
        operation.method, operation.to(names), headers=headers, json=operation.body, params=query or None
    )
