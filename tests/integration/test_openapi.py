"""The API keeps what its OpenAPI document says, whatever is sent to it."""

import asyncio
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

from psycopg import AsyncConnection

from mainstem.access import scopes, tokens
from mainstem.cluster import Cluster
from mainstem.dead_letters.window import Letters
from mainstem.publishing import Kafka
from schemas.database import migrate
from schemas.topics import Topics
from tests.integration.connector_rows import Rows
from tests.integration.deliveries import hold, opened, upsert
from tests.integration.test_api import put, serving
from tests.integration.test_steering import CONNECTORS

# `positive_data_acceptance` has it that what a schema allows is accepted: a cursor of one's own invention is not.
# `unsupported_method`: the paths of operations are not in the document.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method"
)
SAID = {"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Component",
                   "metadata": {"name": "ledger", "namespace": "default"}}, "service": {}}  # fmt: skip
# One worker: before Python 3.12, two threads that parse source at once, as hypothesis does, may end in SystemError.
PHASES = "examples,coverage,fuzzing,stateful"


async def _token(dsn):
    async with await AsyncConnection.connect(dsn) as connection:
        return (await tokens.create(connection, tokens.Wanted(scopes=scopes.ALL, by="test"))).token


def test_no_request_is_answered_by_what_is_not_documented(database, kafka, tmp_path):
    migrate(database)
    client = {"bootstrap.servers": kafka}
    topics = Topics(prefix=f"t-{uuid.uuid4().hex[:8]}", partitions=1, replication_factor=1)
    Cluster(client).create(topics.definitions(()))
    # Nothing is merged here: whoever waits for it is answered 504.
    (tmp_path / "schemathesis.toml").write_text("[parameters]\nwait = false\n")
    put(database, "component:default/pay")
    with closing(opened(database)) as sink:
        sink.write([upsert("component:default/ledger", 1, spec={"dependsOn": ["db"], "owner": "team-pay"})], {})
        sink.write([upsert("group:default/team-pay", 1), hold("component:default/ledger", 1, content=SAID, git=1)], {})
    for connector in CONNECTORS:
        rows = Rows(database, connector.id)
        rows.hold("a", "b")
        rows.run()
        rows.run("failed", error_class="SourceError", error_message="gone")
        rows.state(last_error_class="SourceError", consecutive_failures=1, since='{"commit": "4f2a"}')

    token = asyncio.run(_token(database))
    letters = Letters(client=client, topics=topics, dsn=database)
    kafka = Kafka(client=client, topics=topics)
    with serving(dsn=database, dead_letters=letters, kafka=kafka, connectors=CONNECTORS, auth="tokens") as client:
        found = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "run", f"{client.base_url}/v1/openapi.json"),
                *("--checks", CHECKS, "--phases", PHASES, "--max-examples", "15", "--max-time", "40", "--seed", "1"),
                *("--workers", "1", "--no-color", "--generation-database", "none", "--continue-on-failure"),
                *("--header", f"Authorization: Bearer {token}"),
                # A stream has no end: see test_events.py.
                *("--exclude-path", "/v1/events"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
