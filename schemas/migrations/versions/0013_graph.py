"""What a graph of services is answered from without reading their rows."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # In the order in which the sink locks them: one that comes in between waits, and so does this.
    op.execute("LOCK TABLE services, service_edges")
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    # The view stays: it tells the same.
    op.execute("DROP INDEX services_brief, services_long")
