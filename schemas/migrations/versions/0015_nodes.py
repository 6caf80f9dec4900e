"""What a graph says of each service, as it says it."""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"
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
    DROP TRIGGER tell_edges ON services;
    DROP TRIGGER tell_edge ON service_dependencies;
    DROP FUNCTION mainstem_tell_edges, mainstem_tell_edge;
    ALTER TABLE service_dependencies DROP COLUMN told;
    ALTER TABLE services DROP COLUMN node;
    DROP FUNCTION mainstem_edge, mainstem_json;
    CREATE INDEX service_dependencies_target ON service_dependencies (tenant_id, depends_on_id)
      WHERE depends_on_id IS NOT NULL;
    """)
    for name in ("0013_graph.sql", "0014_edges.sql"):
        op.execute(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    op.execute("GRANT SELECT ON service_edges TO mainstem_app")
