"""`mainstem mcp`, asked by the SDK's own client, in front of the API over rows that the Postgres sink wrote."""

import asyncio
import importlib.metadata
import re
import socket
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import anyio.from_thread
import httpx2
import orjson
import psycopg
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from psycopg import AsyncConnection, conninfo, sql
from typer.testing import CliRunner

from mainstem.access import tokens
from mainstem.assistant.asking import Asking
from mainstem.assistant.server import make_server
from mainstem.cli import app
from mainstem.embedded.ports import free_ports
from schemas.database import migrate
from schemas.errors import ConfigError
from sinks.postgres.model import id_of
from tests.command_line import read_arguments
from tests.integration.deliveries import hold, opened, upsert
from tests.integration.test_api import serving
from tests.integration.test_services import CATALOGUE, FACTS, PAY, POLICY, content
from tests.patience import granted

TOOLS = [
    "explain",
    "find_services",
    "get_blast_radius",
    "get_dependencies",
    "get_on_call",
    "get_recent_changes",
    "get_service_context",
]
ALL_SCOPES = ["read", "override", "operate", "publish:manual"]
PAGE = Path(__file__).parents[2] / "docs/how-to/ask-with-an-assistant.md"
MOBILE = "component:default/mobile-app"
LATELY = {
    "spec": {"dependsOn": ["component:checkout-web", "component:payment-api"], "lifecycle": "deprecated"},
    "change": "updated",
    "changed": ["/spec/lifecycle"],
    "merged_at": int(time.time() * 1000),
}
COMMAND = ["-m", "mainstem", "mcp"]


@pytest.fixture(scope="module")
def dsn(postgres):
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    found = conninfo.make_conninfo(postgres, dbname=name)
    migrate(found)
    with closing(opened(found)) as sink:
        sink.write(CATALOGUE, {})
        sink.write([upsert(MOBILE, 2, **LATELY), upsert("component:default/theirs", 2, tenant="acme", **LATELY)], {})
        sink.write([hold(PAY, 1, content=content(FACTS, "somebody"), backstage=5, oncall=2)], {})
    yield found
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def ours(dsn):
    return minted(dsn, ALL_SCOPES, "default")


@pytest.fixture(scope="module")
def theirs(dsn):
    return minted(dsn, ["read"], "acme")


@pytest.fixture(scope="module")
def api(dsn):
    with serving(dsn=dsn, policy=POLICY, auth="tokens") as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def assistant(api, ours):
    started = StdioServerParameters(command=sys.executable, args=[*COMMAND, "--url", api], env={"MAINSTEM_TOKEN": ours})
    with connected(lambda: stdio_client(started)) as found:
        yield found


def minted(dsn, scopes, tenant):
    async def make():
        async with await AsyncConnection.connect(dsn) as connection:
            return (await tokens.create(connection, tokens.Wanted(scopes=scopes, by="test", tenant=tenant))).token

    return asyncio.run(make())


class Assistant:
    def __init__(self, portal, client):
        self._portal, self._client = portal, client

    def server(self):
        return self._client.server_info

    def tools(self):
        return self._portal.call(self._client.list_tools).tools

    def asked(self, tool, **arguments):
        """Return the result of a call, whatever it was."""
        return self._portal.call(self._client.call_tool, tool, arguments)

    def told(self, tool, **arguments):
        found = self.asked(tool, **arguments)
        assert not found.is_error, found.content[0].text
        assert orjson.loads(found.content[0].text) == found.structured_content
        return found.structured_content

    def refused(self, tool, **arguments):
        found = self.asked(tool, **arguments)
        assert found.is_error
        return found.content[0].text


@contextmanager
def connected(transport):
    with anyio.from_thread.start_blocking_portal() as portal:
        client = portal.call(lambda: _client(transport))
        with portal.wrap_async_context_manager(client):
            yield Assistant(portal, client)


async def _client(transport):
    return Client(transport())


def names(services):
    return [each["entity_ref"].rpartition("/")[2] for each in services]


def test_every_tool_says_that_it_only_reads(assistant):
    found = assistant.tools()
    assert [(each.name, each.annotations.read_only_hint) for each in sorted(found, key=lambda each: each.name)] == [
        (name, True) for name in TOOLS
    ]


def test_the_server_says_which_version_it_is(assistant):
    assert assistant.server().version == importlib.metadata.version("mainstem")


def test_an_argument_that_a_tool_does_not_have_is_refused(assistant):
    told = assistant.refused("find_services", team="team-payments")
    schemas = [each.input_schema for each in assistant.tools()]
    assert "team" in told
    assert [each["additionalProperties"] for each in schemas] == [False] * len(TOOLS)


def test_services_are_found_by_words_and_filters(assistant):
    by_words, by_tier = (
        assistant.told("find_services", words="processing"),
        assistant.told("find_services", tier="tier3"),
    )
    assert (names(by_words["services"]), names(by_tier["services"])) == (["payment-api"], ["records"])


def test_a_list_of_services_goes_on_where_it_ended(assistant):
    first = assistant.told("find_services", limit=4)
    rest = assistant.told("find_services", limit=4, cursor=first["next_cursor"])
    assert (len(first["services"]), len(rest["services"]), rest["next_cursor"]) == (4, 2, None)


def test_the_context_of_a_service_is_all_that_an_incident_asks_first(assistant):
    found = assistant.told("get_service_context", service="payment-api")
    assert found["freshness"].pop("age_seconds") > 0
    assert found["on_call"]["freshness"].pop("age_seconds") > 0
    one_step = {"is_critical": False, "is_in_catalogue": True, "type": "runtime"}
    assert {
        name: found[name] for name in found if name not in {"direct_dependents", "merged_at", "recent_changes"}
    } == {
        "entity_ref": PAY,
        "name": "payment-api",
        "description": "Handles payment processing",
        "tier": "tier1",
        "lifecycle": "production",
        "tags": ["java"],
        "owner": {
            "team_id": id_of("default", "group:default/team-payments"),
            "name": "Payments Team",
            "slack_channel": "#team-payments",
        },
        "on_call": {
            "user_id": "user_jane",
            "name": "Jane Smith",
            "until": "2096-01-30T09:00:00Z",
            "schedule_id": "PAY1",
            "source": "oncall",
            "freshness": {"state": "stale", "source": "oncall"},
        },
        "runbooks": {
            "total": 1,
            "items": [{"title": "Latency troubleshooting", "url": "https://run.acme.com/latency", "type": None}],
        },
        "depends_on": {
            "total": 2,
            "items": [
                {
                    **one_step,
                    "entity_ref": "component:default/stripe-gateway",
                    "name": "stripe-gateway",
                    "is_critical": True,
                },
                {
                    **one_step,
                    "entity_ref": "resource:default/database-primary",
                    "name": "database-primary",
                    "is_in_catalogue": False,
                },
            ],
        },
        "blast_radius": {"total": 3, "is_complete": True, "by_distance": {"1": 3}, "by_tier": {"unknown": 3}},
        "freshness": {"state": "fresh", "source": "backstage"},
        "synced_at": "2023-11-14T22:13:25.000Z",
        "stale_connectors": ["oncall"],
        "said_by": {"name": ["backstage"], "on_call": ["oncall"], "dependencies": ["backstage"]},
    }


def test_dependencies_are_told_with_the_way_by_which_they_are_reached(assistant):
    found = assistant.told("get_dependencies", service="mobile-app", depth=3)
    told = [
        (names([each])[0], each["distance"], names([{"entity_ref": ref} for ref in each["via"]]))
        for each in found["services"]
    ]
    assert (told, found["freshness"]["state"], found["left_out"]) == (
        [
            ("checkout-web", 1, ["mobile-app"]),
            ("payment-api", 1, ["mobile-app"]),
            ("stripe-gateway", 2, ["payment-api"]),
            ("database-primary", 2, ["payment-api"]),
        ],
        "fresh",
        0,
    )


def test_what_breaks_with_a_service_is_cut_to_what_was_asked_for_and_counted_whole(assistant):
    found = assistant.told("get_blast_radius", service="payment-api", limit=1)
    assert (found["total"], names(found["services"]), found["left_out"]) == (3, ["checkout-web"], 2)


def test_what_changed_is_told_of_one_service_and_of_all(assistant):
    in_context = assistant.told("get_service_context", service="mobile-app")["recent_changes"]
    of_one = assistant.told("get_recent_changes", service="mobile-app")["changes"]
    of_all = assistant.told("get_recent_changes")["changes"]
    changed = {"total": 1, "items": ["/spec/lifecycle"]}
    told = [[(each["change"], each["changed"], each["connectors"]) for each in some] for some in (in_context, of_one)]
    assert (told, [each["entity_ref"] for each in of_all]) == ([[("updated", changed, [])]] * 2, [MOBILE])


def test_nobody_on_call_is_no_error(assistant):
    found = assistant.told("get_on_call", service="mobile-app")
    assert (found["on_call"], found["owner"]) == (None, None)


@pytest.mark.parametrize(("field", "pointer"), [("tier", "/service/tier"), ("/spec/owner", "/spec/owner")])
def test_a_field_is_explained_by_its_name_or_its_pointer(assistant, field, pointer):
    found = assistant.told("explain", service="payment-api", field=field)
    assert (found["entity_ref"], {at: each["winners"] for at, each in found["fields"].items()}) == (
        PAY,
        {pointer: ["backstage"]},
    )


@pytest.mark.parametrize(
    "tool", ["get_service_context", "get_dependencies", "get_blast_radius", "get_on_call", "explain"]
)
def test_an_unknown_service_is_answered_with_those_that_may_be_meant(assistant, tool):
    assert f"perhaps one of these is meant: {PAY}" in assistant.refused(tool, service="payments-api")


def test_a_name_that_several_have_is_answered_with_those_who_have_it(assistant):
    told = assistant.refused("get_on_call", service="checkout-web")
    assert "api:default/checkout-web, component:default/checkout-web" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"service": "component:pay ment"}, "position 13"),
        ({"service": "nobody"}, "find_services looks for words"),
        ({"service": PAY, "field": "/service/nothing"}, "there are /apiVersion"),
        ({"service": ""}, "at least 1 character"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_sentence(assistant, arguments, told):
    assert told in assistant.refused("explain", **arguments)


def test_no_tool_changes_anything_whatever_its_token_may(assistant, dsn):
    before = state(dsn)
    for tool in TOOLS:
        assistant.told(tool, **({} if tool == "find_services" else {"service": "payment-api"}))
    assert state(dsn) == before


def state(dsn):
    """Return what every table holds."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        query = sql.SQL("SELECT coalesce(string_agg(t::text || xmin, '|' ORDER BY t::text), '') FROM {} AS t")
        return {name: connection.execute(query.format(sql.Identifier(name))).fetchone() for (name,) in tables}


@pytest.fixture(scope="module")
def over_http(api):
    (port,) = free_ports(1)
    with background([sys.executable, *COMMAND, "--url", api, "--http", str(port)], port):
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def background(command, port):
    process = subprocess.Popen(command)
    try:
        until_listening(port)
        yield
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def over(url, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


def calling(url, token):
    return connected(lambda: over(url, token))


def test_over_http_each_caller_sees_the_services_of_its_own_token(over_http, ours, theirs):
    with calling(over_http, ours) as us, calling(over_http, theirs) as them, calling(over_http, None) as nobody:
        seen = [names(each.told("find_services", limit=25)["services"]) for each in (us, them)]
        by_id = id_of("acme", "component:default/theirs")
        strangers = [us.refused("get_service_context", service=each) for each in ("theirs", by_id)]
        without = nobody.refused("find_services")
    told = [all("there is no service" in each for each in strangers), "Authorization: Bearer TOKEN" in without]
    assert ("theirs" in seen[0], seen[1], told) == (False, ["theirs"], [True, True])


def until_listening(port):
    deadline = granted() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert granted() < deadline
            time.sleep(0.05)
        else:
            return


def test_an_api_that_is_away_is_told_in_a_sentence():
    (port,) = free_ports(1)

    async def ask():
        server = make_server(Asking(f"http://127.0.0.1:{port}", remedy="X"), lambda _: None)
        async with Client(server) as client:
            return await client.call_tool("find_services", {})

    found = asyncio.run(ask())
    assert (found.is_error, "cannot be reached" in found.content[0].text) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--url", "pay"], "is not the address"), (["--http", "8090", "--token", "mst_x"], "of its own")],
)
def test_what_cannot_be_served_is_refused_at_once(arguments, sentence):
    found = CliRunner().invoke(app, ["mcp", *arguments])
    assert isinstance(found.exception, ConfigError)
    assert sentence in str(found.exception)


CONFIGURATIONS = re.findall(r"^```jsonc\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_configuration_on_the_page_is_one_that_starts(text):
    written = orjson.loads(text)["mcpServers"]["mainstem"]
    assert read_arguments(written["args"]) if "args" in written else written["url"].endswith(":8090/mcp")
