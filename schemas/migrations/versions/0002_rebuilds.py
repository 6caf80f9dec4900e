"""Rebuilds: which partitions are read anew, what was seen of them, and when each was last known to be read."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP TABLE sink_seen, sink_rebuilds; ALTER TABLE sink_offsets DROP COLUMN active_at")
