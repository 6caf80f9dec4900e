"""A whole installation on shared services: topics of its own, a worker, the sink `postgres`, and the API."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2
import psycopg
from prometheus_client import CollectorRegistry

from mainstem.access import tokens
from mainstem.publishing import Kafka
from sinks.base import SinkSettings
from sinks.postgres.sink import PostgresSink
from streams.policy import ConnectorPolicy, Policy
from tests.integration.connector_rows import migrated
from tests.integration.installation import Installation
from tests.integration.sinks.conftest import Running
from tests.integration.test_api import serving
from tests.patience import eventually

PATIENCE = 30.0


class Catalogue:
    """*connectors*: id to the fields of its ConnectorPolicy."""

    def __init__(self, own: Installation, dsn: str, connectors: Mapping[str, Mapping[str, Any]]) -> None:
        self.own, self.dsn = own, dsn
        self.policy = Policy(connectors={name: ConnectorPolicy(**fields) for name, fields in connectors.items()})
        self.client: httpx2.Client

    @contextmanager
    def serving(self, *, kafka: str | None = None, **settings: Any) -> Iterator[httpx2.Client]:
        """Serve the API over the tables. *kafka*: another one than the catalogue's."""
        client = {"bootstrap.servers": kafka or self.own.bootstrap, "log_level": 0}
        given = {"dsn": self.dsn, "policy": self.policy, "kafka": Kafka(client=client, topics=self.own.topics)}
        with serving(**{"registry": CollectorRegistry(), **given, **settings}) as found:
            yield found

    def token(self, *scopes: str, tenant: str = "default") -> dict[str, str]:
        """Return the header of a new token, which is called by its tenant."""
        wanted = tokens.Wanted(scopes=scopes, by="test", name=tenant, tenant=tenant)

        async def made() -> str:
            async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
                return (await tokens.create(connection, wanted)).token

        return {"Authorization": f"Bearer {asyncio.run(made())}"}

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def get(self, path: str) -> Any:
        answer = self.client.get(f"/v1/{path}")
        return answer.json() if answer.status_code == 200 else None

    def eventually(self, found: Callable[[], Any]) -> Any:
        """Return what *found* returns as soon as that is true."""
        return eventually(found, PATIENCE, lambda: f"the worker: {self.own.worker.output()[-2000:]}", pause=0.05)


@contextmanager
def catalogue(kafka: str, postgres: str, connectors: Mapping[str, Mapping[str, Any]]) -> Iterator[Catalogue]:
    with ExitStack() as stack:
        own = Installation(kafka, {**connectors, "manual": {}, "override": {}})
        stack.callback(own.close)
        dsn = stack.enter_context(migrated(postgres))
        own.worker.start()
        settings = SinkSettings(
            name="postgres",
            topics=own.topics,
            client={"bootstrap.servers": kafka, "session.timeout.ms": 6000},
            dsn=dsn,
        )
        sink = Running(PostgresSink(settings))
        stack.callback(sink.stop)
        own.worker.wait_until_working()
        found = Catalogue(own, dsn, connectors)
        found.client = stack.enter_context(found.serving())
        yield found
