"""Tenants are apart in the database itself, whatever a query forgets."""

import asyncio
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, errors, sql
from psycopg_pool import AsyncConnectionPool

import mainstem.api
from mainstem.access import tenants
from mainstem.api import database as api_database
from mainstem.embedded import EmbeddedPostgres
from schemas import database as schema
from schemas.errors import UnavailableError
from tests.integration.connector_rows import migrated
from tests.integration.deliveries import opened, upsert
from tests.integration.test_api import serving

TENANTS = ("default", "acme")

UNGUARDED = """
SELECT held.relname FROM pg_class AS held
WHERE held.relnamespace = 'public'::regnamespace AND held.relkind IN ('r', 'p')
  AND EXISTS (
    SELECT FROM pg_attribute
    WHERE attrelid = held.oid AND attname IN ('tenant', 'tenant_id') AND NOT attisdropped
  )
  AND (NOT held.relispartition OR has_any_column_privilege('mainstem_app', held.oid, 'SELECT, INSERT, UPDATE'))
  AND NOT (held.relrowsecurity AND held.relforcerowsecurity AND EXISTS (
    SELECT FROM pg_policy WHERE polrelid = held.oid AND polroles = ARRAY['mainstem_app'::regrole::oid]
      AND pg_get_expr(polqual, polrelid) LIKE '%current_setting(''mainstem.tenant''%'
  ))
ORDER BY 1
"""
READABLE = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
  AND has_table_privilege('mainstem_app', oid, 'SELECT') ORDER BY 1
"""
WRITABLE = "SELECT relname FROM pg_class WHERE has_table_privilege('mainstem_app', oid, 'INSERT, DELETE, TRUNCATE')"


@pytest.fixture(scope="module")
def shared(postgres):
    with migrated(postgres) as dsn:
        fill(dsn)
        yield dsn


def fill(dsn):
    with closing(opened(dsn)) as sink:
        for tenant in TENANTS:
            spec = {"dependsOn": ["component:ledger"], "owner": "team-pay"}
            batch = [upsert(f"component:default/c{each}", 1, tenant=tenant, spec=spec) for each in range(30)]
            sink.write([*batch, upsert("group:default/team-pay", 1, tenant=tenant)], {})


def as_app(dsn, query, tenant=None):
    with psycopg.connect(dsn) as connection:
        connection.execute("SET LOCAL ROLE mainstem_app")
        if tenant is not None:
            connection.execute("SELECT set_config('mainstem.tenant', %s, true)", [tenant])
        return connection.execute(query).fetchall()


def asked(dsn, query):
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(query)]


def test_every_table_that_knows_of_tenants_has_a_policy_that_binds_its_owner_too(shared):
    """A migration calls `mainstem_guard` for each that it adds."""
    assert asked(shared, UNGUARDED) == []


@pytest.mark.parametrize("table", ["entities", "services", "teams", "service_edges", "entity_relations"])
def test_a_query_that_forgets_the_tenant_sees_that_of_the_transaction_and_without_one_nothing(shared, table):
    column = "tenant" if table == "entities" else "tenant_id"
    query = f"SELECT DISTINCT {column} FROM {table}"
    found = [as_app(shared, query, tenant) for tenant in (None, "", "nobody", *TENANTS)]
    assert found == [[], [], [], [("default",)], [("acme",)]]


def test_the_role_of_the_api_owns_nothing_bypasses_nothing_and_logs_in_nowhere(shared):
    role = "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin FROM pg_roles"
    owned = "SELECT relname FROM pg_class WHERE relowner = 'mainstem_app'::regrole"
    assert asked(shared, f"{role} WHERE rolname = 'mainstem_app'") == [False]
    assert asked(shared, owned) == []


def test_the_role_of_the_api_reads_no_tokens_and_writes_no_entities(shared):
    assert not {"api_tokens", "sink_seen", "sink_offsets", "alembic_version"} & set(asked(shared, READABLE))
    assert not {"entities", "entity_records", "services", "api_tokens"} & set(asked(shared, WRITABLE))


def test_the_role_of_the_api_may_run_what_it_asks_by_also_where_a_database_lets_nobody_run_anything(shared):
    granted = "SELECT proname FROM pg_proc, aclexplode(proacl) WHERE grantee = 'mainstem_app'::regrole ORDER BY 1"
    assert asked(shared, granted) == ["mainstem_edge", "mainstem_json", "mainstem_search"]


def test_nobody_writes_a_row_for_another_tenant(shared):
    values = "('acme', 'somebody', 'POST', '/', '{}')"
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        as_app(shared, f"INSERT INTO audit_log (tenant, actor, method, route, parameters) VALUES {values}", "default")


@pytest.mark.parametrize("few", [2000, 1])
def test_a_search_finds_the_same_by_its_index_and_by_trying_one_after_the_other(shared, monkeypatch, few):
    monkeypatch.setattr(api_database, "FEW", few)
    with serving(dsn=shared) as client:
        found = [client.get(f"/v1/{noun}", params={"q": "Component c7"}) for noun in ("entities", "services")]
        many = [client.get(f"/v1/{noun}", params={"q": "component", "limit": 500}) for noun in ("entities", "services")]
    assert [[item["entity_ref"] for item in answer.json()["items"]] for answer in found] == [
        ["component:default/c7"]
    ] * 2
    assert [len(answer.json()["items"]) for answer in many] == [30, 30]


def test_a_search_sees_no_other_tenant(shared):
    found = [as_app(shared, "SELECT mainstem_search('component', 100)", tenant)[0][0] for tenant in (None, *TENANTS)]
    assert [len(refs) for refs in found] == [0, 30, 30]


def test_whatever_answers_a_caller_asks_as_the_role():
    """Only these see every tenant: who somebody is, and how much there is of everything."""
    asking = {file.name for file in Path(mainstem.api.__path__[0]).glob("*.py")
              if re.search(r"\.(connection|getconn)\(", file.read_text(encoding="utf-8"))}  # fmt: skip
    assert asking == {"census.py"}


WHO = "SELECT current_user::text AS role, current_setting('mainstem.tenant', true) AS tenant"


def test_what_is_asked_for_a_caller_is_asked_as_the_role_and_the_next_user_of_the_connection_begins_with_nothing(
    shared,
):
    async def found():
        options = {"kwargs": {"autocommit": True}, "open": False}
        async with AsyncConnectionPool(shared, min_size=1, max_size=1, **options) as pool:
            told = [await tenants.rows(pool, tenant, WHO, {}) for _ in range(8) for tenant in TENANTS]
            with pytest.raises(errors.DivisionByZero):
                await tenants.rows(pool, "acme", "SELECT 1 / 0", {})
            within = []
            for entered in (tenants.inside, tenants.snapshot):
                async with entered(pool, "acme") as connection:
                    within.append(await (await connection.execute(WHO)).fetchone())
            async with pool.connection() as connection:
                after = await (await connection.execute(WHO)).fetchone()
            return told, within, after

    told, within, after = asyncio.run(found())
    assert told == [[{"role": "mainstem_app", "tenant": tenant}] for _ in range(8) for tenant in TENANTS]
    assert within == [("mainstem_app", "acme")] * 2
    assert after[0] != "mainstem_app"
    assert not after[1]


def test_a_question_that_fails_when_it_is_about_to_be_prepared_is_answered_the_next_time(shared):
    statement = "SELECT count(*) FROM services"
    options = {"autocommit": True, "options": "-c lock_timeout=100"}

    async def found():
        async with AsyncConnectionPool(shared, min_size=1, max_size=1, kwargs=options, open=False) as pool:
            async with pool.connection() as connection:
                threshold = connection.prepare_threshold
            told = [await tenants.rows(pool, "acme", statement, {}) for _ in range(threshold)]
            with psycopg.connect(shared) as other:
                other.execute("LOCK TABLE services")
                with pytest.raises(errors.LockNotAvailable):
                    await tenants.rows(pool, "acme", statement, {})
            return told + [await tenants.rows(pool, "acme", statement, {}) for _ in range(2)]

    assert asyncio.run(found()) == [[{"count": 30}]] * 7


@pytest.fixture(scope="module")
def server(short_dir):
    """A server of the module's own: roles belong to all databases of one."""
    service = EmbeddedPostgres(short_dir / "roles", fsync=False)
    service.start()
    yield service.dsn("postgres")
    service.stop()


class Server:
    """A server on which the role of the API is not there yet."""

    def __init__(self, admin):
        self._admin = admin
        self._made = []

    def run(self, command, **named):
        with psycopg.connect(self._admin, autocommit=True) as admin:
            quoted = {each: sql.Identifier(name) for each, name in named.items()}
            admin.execute(sql.SQL(command).format(**quoted))

    def user(self, rights=""):
        name = f"u_{uuid.uuid4().hex[:12]}"
        self.run(f"CREATE ROLE {{name}} LOGIN {rights}", name=name)
        return name

    def database(self, user):
        """Return the DSN of a new database of *user*."""
        name = f"d_{uuid.uuid4().hex[:12]}"
        self.run("CREATE DATABASE {name} OWNER {user}", name=name, user=user)
        self._made.append(name)
        return conninfo.make_conninfo(self._admin, dbname=name, user=user)

    def close(self):
        for name in self._made:
            self.run("DROP DATABASE {name} WITH (FORCE)", name=name)
        self.run("DROP ROLE IF EXISTS mainstem_app")


@pytest.fixture
def fresh(server):
    with closing(Server(server)) as found:
        yield found


def test_a_user_that_makes_no_roles_is_told_what_an_administrator_runs(fresh):
    user = fresh.user()
    dsn = fresh.database(user)
    with pytest.raises(UnavailableError) as found:
        schema.migrate(dsn)
    make, grant = re.search(
        rf"runs: (CREATE ROLE mainstem_app); (GRANT mainstem_app TO {user})$", str(found.value)
    ).groups()
    fresh.run(make)
    with pytest.raises(UnavailableError, match=f"{grant}$"):
        schema.migrate(dsn)
    fresh.run(grant)
    schema.migrate(dsn)
    assert schema.check(dsn) is None


def test_a_role_that_would_see_every_tenant_is_refused(fresh):
    fresh.run("CREATE ROLE mainstem_app BYPASSRLS")
    with pytest.raises(UnavailableError, match="takes SUPERUSER, BYPASSRLS and all memberships from it"):
        schema.migrate(fresh.database(fresh.user("CREATEROLE")))


def test_databases_of_one_server_are_migrated_at_once(fresh):
    user = fresh.user("CREATEROLE")
    databases = [fresh.database(user) for _ in range(6)]
    script = schema.offline_sql().encode()

    def migrate(dsn):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(script)

    with ThreadPoolExecutor(len(databases)) as pool:
        list(pool.map(migrate, databases))
    assert [schema.check(each) for each in databases] == [None] * len(databases)


def test_an_owner_whom_the_policies_bind_writes_and_the_api_reads_as_the_role(fresh):
    dsn = fresh.database(fresh.user("CREATEROLE"))
    schema.migrate(dsn)
    fill(dsn)
    assert asked(dsn, "SELECT count(*) FROM services") == [60]
    with serving(dsn=dsn) as client:
        answers = client.get("/readyz").status_code, len(client.get("/v1/services").json()["items"])
    assert answers == (200, 30)
