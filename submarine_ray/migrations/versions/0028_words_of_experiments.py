"""The words by which experiments are found, and what users marked and opened"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

AT_ONCE = 1_000


def _text(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, collation="utf8mb4_bin")
    return sa.String(length=length).with_variant(exact, "mysql", "mariadb")


def upgrade() -> None:
    words = op.create_table(
        "experiment_word",
        sa.Column("experiment_id", sa.String(length=64), nullable=False),
        sa.Column("word", _text(63), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("accepted_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "word", name=op.f("pk_experiment_word")),
    )
    op.create_index("ix_experiment_word_word", "experiment_word", ["word", "weight", "accepted_ms", "experiment_id"])
    ends = op.create_table(
        "word_end",
        sa.Column("is_part", sa.Boolean(), nullable=False),
        sa.Column("ending", _text(63), nullable=False),
        sa.Column("word", _text(63), nullable=False),
        sa.PrimaryKeyConstraint("is_part", "ending", "word", name=op.f("pk_word_end")),
    )
    op.create_table(
        "visit",
        sa.Column("user", _text(128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("object", _text(160), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=True),
        sa.Column("starred_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("user", "kind", "object", name=op.f("pk_visit")),
    )
    op.create_index("ix_visit_opened", "visit", ["user", "opened_ms"])
    op.create_index("ix_visit_object", "visit", ["kind", "object"])
    _fill(words, ends)


def _fill(words: sa.Table, ends: sa.Table) -> None:
    """As `experiments/words.py` does it for new experiments."""
    connection = op.get_bind()
    known: set[str] = set()
    last = ""
    while rows := connection.execute(
        sa.text("SELECT id, name, accepted_ms FROM experiment WHERE id > :last ORDER BY id LIMIT :limit"),
        {"last": last, "limit": AT_ONCE},
    ).all():
        first, last = rows[0].id, rows[-1].id
        tags: dict[str, list[str]] = {}
        for id, tag in connection.execute(
            sa.text("SELECT experiment_id, tag FROM experiment_tag WHERE experiment_id BETWEEN :first AND :last"),
            {"first": first, "last": last},
        ):
            tags.setdefault(id, []).append(tag)
        found = [
            {"experiment_id": row.id, "word": word, "weight": weight, "accepted_ms": row.accepted_ms}
            for row in rows
            for word, weight in _weighted(row.name, tags.get(row.id, [])).items()
        ]
        if found:
            connection.execute(sa.insert(words), found)
        new = sorted({str(one["word"]) for one in found} - known)
        known.update(new)
        if new:
            connection.execute(sa.insert(ends), [row for word in new for row in _ends(word)])


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word[:63] for word in re.findall(r"[^\W_]+", text.lower())))


def _weighted(name: str, tags: list[str]) -> dict[str, int]:
    found = dict.fromkeys((word for tag in tags for word in _words(tag)), 0)
    return found | {word: 1 if place else 2 for place, word in enumerate(_words(name))}


def _ends(word: str) -> Iterator[dict[str, Any]]:
    yield {"is_part": False, "ending": word, "word": word}
    for start in range(1, len(word) - 2):
        yield {"is_part": True, "ending": word[start:], "word": word}


def downgrade() -> None:
    op.drop_table("visit")
    op.drop_table("word_end")
    op.drop_table("experiment_word")
