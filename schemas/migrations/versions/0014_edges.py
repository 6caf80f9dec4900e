"""What a graph of services is followed by without reading the rows of its edges."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In the order in which the sink locks them: one that comes in between waits, and so does this.
    op.execute("LOCK TABLE services, service_edges")
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    # A view loses no column but by being made anew, and with it the right to read it.
    op.execute("""
    DROP VIEW service_edges;
    DROP INDEX service_dependencies_target, services_brief, services_long;
    ALTER TABLE service_dependencies DROP COLUMN short_type;
    CREATE INDEX service_dependencies_target ON service_dependencies (tenant_id, depends_on_id)
      WHERE depends_on_id IS NOT NULL;
    """)
    op.execute(Path(__file__).with_name("0013_graph.sql").read_text(encoding="utf-8"))
    op.execute("GRANT SELECT ON service_edges TO mainstem_app")
