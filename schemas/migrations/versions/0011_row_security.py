"""Tenants are apart in every table that knows of them: policies, and the role that asks on behalf of a caller."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Leave the role: it belongs to all databases of the server."""
    op.execute(
        """
        DO $$
        DECLARE each record;
        BEGIN
          FOR each IN SELECT polrelid::regclass AS guarded, polname FROM pg_policy LOOP
            EXECUTE 'DROP POLICY ' || quote_ident(each.polname) || ' ON ' || each.guarded;
            EXECUTE 'ALTER TABLE ' || each.guarded || ' NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY';
          END LOOP;
        END $$
        """
    )
    op.execute("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM mainstem_app")
    op.execute("DROP FUNCTION mainstem_guard, mainstem_search")
    op.execute("DROP INDEX services_entity_name, teams_entity_name")
    op.execute("ALTER TABLE services DROP COLUMN entity_name")
    op.execute("ALTER TABLE teams DROP COLUMN entity_name")
    op.execute("CREATE INDEX services_name ON services (tenant_id, split_part(external_id, '/', 2))")
