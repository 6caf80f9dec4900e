"""Who may use the API: tokens, their scopes and tenants, and the log of what was changed."""

import json

import psycopg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from mainstem.access import gate
from mainstem.cli import app
from schemas.errors import UnknownNameError
from sources.steering import Configured
from tests.acceptance.running import write_config
from tests.integration.connector_rows import migrated
from tests.integration.test_api import put, serving
from tests.patience import eventually

CONNECTORS = (
    Configured(id="git", type="git"),
    Configured(id="theirs", type="git", tenant="acme"),
)
CONFIG = {"tenants": [{"id": "default"}, {"id": "acme"}]}


@pytest.fixture(scope="module")
def shared(postgres):
    with migrated(postgres) as dsn:
        put(dsn, "component:default/pay")
        yield dsn


class Desk:
    """The API of a database without tokens, and the command line that makes them."""

    def __init__(self, dsn, client, home):
        self.dsn, self.client = dsn, client
        config = {**CONFIG, "kafka": {"bootstrap_servers": "127.0.0.1:1"}, "postgres": {"dsn": dsn}}
        self._options = ["--config", str(write_config(home / "mainstem.yaml", config)), "--data-dir", str(home)]

    def run(self, *arguments):
        found = CliRunner().invoke(app, ["tokens", *arguments, *self._options])
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    def token(self, *scopes, **options):
        """Make a token; return its id and itself."""
        given = [word for name, value in options.items() for word in (f"--{name}", value)]
        found = self.run("create", "--json", *given, *(word for scope in scopes for word in ("--scope", scope)))
        made = json.loads(found.stdout)
        return made["id"], made["token"]

    def code(self, path, token=None, method="GET"):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.client.request(method, path, headers=headers).status_code

    def do(self, statement):
        with psycopg.connect(self.dsn) as connection:
            connection.execute(statement)

    def rows(self, query):
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def desk(shared, tmp_path):
    with psycopg.connect(shared) as connection:
        connection.execute("TRUNCATE api_tokens, audit_log")
    with serving(dsn=shared, connectors=CONNECTORS) as client:
        yield Desk(shared, client, tmp_path)


def test_from_the_first_token_on_nobody_is_answered_without_one(desk):
    before = desk.code("/v1/entities")
    _, token = desk.token("read")
    eventually(lambda: desk.code("/v1/entities") == 401, gate.BELIEVED_SECONDS + 2)
    paths = ("/livez", "/readyz", "/metrics", "/v1/openapi.json", "/v1/connectors", "/nowhere")
    assert (before, [desk.code(path) for path in paths]) == (200, [200, 200, 200, 401, 401, 401])
    assert desk.code("/v1/entities", token) == 200


@pytest.mark.parametrize("text", ["mst_nothing", "mst_", "x" * 5000, "mst_\udce9"])
def test_what_is_no_token_opens_nothing(desk, text):
    desk.token("read")
    headers = {b"authorization": b"Bearer " + text.encode("utf-8", "surrogateescape")}
    eventually(lambda: desk.client.get("/v1/entities", headers=headers).status_code == 401, 5)


def test_whoever_sent_a_token_that_does_not_hold_is_told_so_and_whoever_sent_none_is_told_that(desk):
    revoked, ended = desk.token("read"), desk.token("read")
    desk.run("revoke", revoked[0])
    desk.do(f"UPDATE api_tokens SET expires_at = now() - interval '1 second' WHERE id = '{ended[0]}'")
    eventually(lambda: desk.code("/v1/entities") == 401, gate.BELIEVED_SECONDS + 2)
    told = {}
    for sent in ("", "Basic YTpi", "Bearer", "Bearer x", f"Bearer {revoked[1]}", f"bearer {ended[1]}"):
        answer = desk.client.get("/v1/entities", headers={"Authorization": sent} if sent else {})
        why = answer.json()["detail"].split(";")[0]
        told.setdefault((answer.status_code, why, answer.headers["www-authenticate"]), []).append(sent.split(" ")[0])
    wrong = "the token that was sent does not hold: it is mistyped, revoked, expired or made for another API"
    assert told == {
        (401, "no token was sent", "Bearer"): ["", "Basic", "Bearer"],
        (401, wrong, 'Bearer error="invalid_token"'): ["Bearer", "Bearer", "bearer"],
    }


def test_a_token_does_what_its_scopes_name_and_nothing_else(desk):
    tokens = {scope: desk.token(scope)[1] for scope in ("read", "operate", "override", "publish:cmdb")}
    reads = {scope: desk.code("/v1/entities", token) for scope, token in tokens.items()}
    steers = {scope: desk.code("/v1/connectors/git/pause", token, "POST") for scope, token in tokens.items()}
    assert reads == {"read": 200, "operate": 403, "override": 403, "publish:cmdb": 403}
    assert steers == {"read": 403, "operate": 200, "override": 403, "publish:cmdb": 403}


def test_a_refused_caller_is_told_which_scope_is_missing(desk):
    _, token = desk.token("read")
    answer = desk.client.post("/v1/connectors/git/pause", headers={"Authorization": f"Bearer {token}"})
    assert (answer.headers["content-type"], answer.json()["detail"]) == (
        "application/problem+json",
        "the token has not the scope operate",
    )


def test_a_revoked_token_ends_within_five_seconds(desk):
    known, token = desk.token("read")
    assert desk.code("/v1/entities", token) == 200
    revoked = desk.run("revoke", known)
    assert revoked.stdout == f"token {known} is revoked\n"
    eventually(lambda: desk.code("/v1/entities", token) == 401, 5)


def test_a_token_can_be_revoked_by_whoever_found_it(desk):
    known, token = desk.token("read")
    assert json.loads(desk.run("revoke", token, "--json").stdout) == {"id": known, "state": "revoked"}


def test_the_last_token_that_is_revoked_leaves_the_api_shut(desk):
    known, _ = desk.token("read")
    desk.run("revoke", known)
    eventually(lambda: desk.code("/v1/entities") == 401, 5)


def test_an_expired_token_holds_no_more(desk):
    _, token = desk.token("read", expires="0.2s")
    eventually(lambda: desk.code("/v1/entities", token) == 401, 5)
    (listed,) = [json.loads(line) for line in desk.run("list", "--json").stdout.splitlines()]
    assert (listed["state"], listed["scopes"], "token" in listed) == ("expired", ["read"], False)


def test_another_tenants_anything_is_absent(desk):
    _, ours = desk.token("read", "operate")
    _, theirs = desk.token("read", "operate", tenant="acme")
    paths = ("/v1/entities/component:default%2Fpay", "/v1/connectors/git/status", "/v1/connectors/theirs/status")
    assert [desk.code(path, ours) for path in paths] == [200, 200, 404]
    assert [desk.code(path, theirs) for path in paths] == [404, 404, 200]
    assert desk.code("/v1/connectors/git/pause", theirs, "POST") == 404


def test_what_changes_anything_is_in_the_log_with_its_outcome_and_what_reads_is_not(desk):
    known, token = desk.token("read", "operate", name="night-shift")
    for path, method in (
        ("/v1/entities", "GET"),
        ("/v1/connectors/git/pause", "POST"),
        ("/v1/connectors/no/pause", "POST"),
    ):
        desk.code(path, token, method)
    found = desk.rows("SELECT tenant, actor, token_id, method, route, parameters, status FROM audit_log ORDER BY id")
    pause = ("default", "night-shift", known, "POST", "/v1/connectors/{connector_id}/pause")
    assert found == [(*pause, {"connector_id": "git"}, 200), (*pause, {"connector_id": "no"}, 404)]


def test_what_was_done_is_answered_so_although_the_log_cannot_be_ended(desk):
    desk.do("CREATE RULE still AS ON UPDATE TO audit_log DO INSTEAD SELECT 1 / 0")
    try:
        answer = desk.client.post("/v1/connectors/git/pause")
    finally:
        desk.do("DROP RULE still ON audit_log")
    assert (answer.status_code, desk.rows("SELECT status FROM audit_log")) == (200, [(None,)])


@pytest.mark.parametrize(
    ("method", "headers", "code"),
    [
        ("POST", {"origin": "https://pages.acme.com"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"origin": "http://localhost:3000"}, 200),
        ("GET", {"origin": "https://pages.acme.com"}, 200),
        ("GET", {"host": "pages.acme.com:8080"}, 403),
        ("GET", {"host": "[::1]:8080"}, 200),
        ("GET", {"host": "]["}, 403),
    ],
)
def test_without_tokens_a_web_page_of_somebody_else_is_not_answered(desk, method, headers, code):
    path = "/v1/connectors/git/pause" if method == "POST" else "/v1/connectors"
    assert desk.client.request(method, path, headers=headers).status_code == code


def test_with_a_token_any_host_is_answered(desk):
    _, token = desk.token("read")
    headers = {"Authorization": f"Bearer {token}", "host": "mainstem.acme.com"}
    assert desk.client.get("/v1/connectors", headers=headers).status_code == 200


@pytest.mark.parametrize("life", ["0", "3651d", "soon"])
def test_a_token_cannot_live_for_no_time_nor_for_ever_and_a_day(desk, life):
    assert desk.run("create", "--scope", "read", "--expires", life).exit_code == 2


def test_the_database_holds_no_token(desk):
    _, token = desk.token("read", "publish:cmdb", name="ci")
    assert token.removeprefix("mst_") not in str(desk.rows("SELECT row_to_json(api_tokens)::text FROM api_tokens"))


def test_none_asks_nobody_and_tokens_asks_always(desk):
    desk.token("read")
    with serving(dsn=desk.dsn, auth="none") as client:
        anybody = client.get("/v1/entities").status_code
    with psycopg.connect(desk.dsn) as connection:
        connection.execute("TRUNCATE api_tokens")
    with serving(dsn=desk.dsn, auth="tokens") as client:
        nobody = client.get("/v1/entities").status_code
    assert (anybody, nobody) == (200, 401)


def test_the_configured_token_may_do_everything(desk):
    with serving(dsn=desk.dsn, connectors=CONNECTORS, token=SecretStr("s3cret")) as client:
        client.headers["Authorization"] = "Bearer s3cret"
        assert client.post("/v1/connectors/git/pause").status_code == 200


@pytest.mark.parametrize("scope", ["write", "publish:", "publish:override", "publish:A B", "READ", ""])
def test_a_scope_that_nobody_knows_is_refused(desk, scope):
    found = desk.run("create", "--scope", scope)
    assert (found.exit_code, "a scope is read, override, operate or publish:CONNECTOR" in found.stderr) == (2, True)


def test_a_token_for_a_tenant_that_is_not_configured_is_refused(desk):
    with pytest.raises(Exception, match="there is no tenant nowhere; configured are acme, default"):
        desk.run("create", "--scope", "read", "--tenant", "nowhere")


def test_a_token_that_nobody_made_cannot_be_revoked(desk):
    with pytest.raises(UnknownNameError):
        desk.run("revoke", "3f9a61c2b07e")


def test_the_document_names_the_scope_of_every_operation(desk):
    paths = desk.client.get("/v1/openapi.json").json()["paths"]
    scopes = {
        (method, path): operation["x-scope"] for path, each in paths.items() for method, operation in each.items()
    }
    assert {scope for (method, _), scope in scopes.items() if method == "get"} == {"read"}
    assert scopes[("post", "/v1/connectors/{connector_id}/sync")] == "operate"
