"""Connectors: their runs, where each stands, what it has published, what waits for a decision, and who runs it."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP TABLE leases, held_deletions, ingestion_entity_refs, ingestion_state, connector_runs")
