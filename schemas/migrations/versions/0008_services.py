"""The canonical model: services, teams, what depends on what, runbooks, and all relations of entities."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP VIEW service_edges, entity_relations")
    op.execute("DROP TABLE stated_relations, service_runbooks, service_dependencies, services, teams")
    op.execute("ALTER TABLE entities DROP COLUMN projected")
