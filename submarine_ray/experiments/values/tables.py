"""The tables: MLflow's are in another database, and have no index by value."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from submarine_ray.core.database import Table, exact_text

TEXT_LENGTH = 250


class ValueNameRow(Table):
    """A name under which something is logged. `kind` is `param` or `metric` (spec/expressions.py)."""

    __tablename__ = "value_name"
    __table_args__ = (UniqueConstraint("kind", "name"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(exact_text(TEXT_LENGTH))


class ValueRow(Table):
    """What an experiment logged under a name: `number` if it is a finite one; `text` as it was logged, cut off."""

    __tablename__ = "experiment_value"
    __table_args__ = (
        Index("ix_experiment_value_number", "name_id", "number", "experiment_id"),
        Index("ix_experiment_value_text", "name_id", "text", "experiment_id"),
        {"sqlite_with_rowid": False},
    )

    experiment_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[float | None] = mapped_column(Double)
    text: Mapped[str] = mapped_column(exact_text(TEXT_LENGTH))


class ValueLookRow(Table):
    """An experiment whose run is to be looked at again: it may have logged more. Gone once it has ended."""

    __tablename__ = "experiment_value_look"

    experiment_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    next_ms: Mapped[int] = mapped_column(BigInteger, index=True)
