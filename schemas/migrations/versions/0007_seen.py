"""What a run has seen takes a bit of each entity, and no longer a write of its row."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP TABLE ingestion_seen")
    op.execute("ALTER TABLE ingestion_entity_refs DROP COLUMN slot")
