"""Browsers that are signed in, and links that sign in once"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sign_in_session",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("credential", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_session"),
        sa.UniqueConstraint("secret_hash", name="uq_sign_in_session_secret_hash"),
    )
    op.create_index("ix_sign_in_session_expires_ms", "sign_in_session", ["expires_ms"])
    op.create_table(
        "sign_in_link",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("credential", sa.String(length=64), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("secret_hash", name="pk_sign_in_link"),
    )
    op.create_index("ix_sign_in_link_expires_ms", "sign_in_link", ["expires_ms"])


def downgrade() -> None:
    op.drop_table("sign_in_link")
    op.drop_table("sign_in_session")
