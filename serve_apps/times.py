"""Why texts cannot be a column of times: said here, for pandas' own words speak to who calls pandas."""

from __future__ import annotations

from typing import Any


def misfit(values: Any) -> str | None:
    """Why pandas makes no times of texts, or times with a zone, which MLflow's datetime lacks; None if it does."""
    import pandas as pd

    column = pd.Series(values) if isinstance(values, list | pd.Series) else None
    if column is None or not any(isinstance(value, str) for value in column):
        return None
    try:
        zone = getattr(pd.to_datetime(column).dtype, "tz", None)
    except (ValueError, TypeError, OverflowError):
        return _why(column)
    if zone is None:
        return None
    return f"name a time zone, which the model's times lack, such as {_shown(column.iloc[0])}: send them without one"


def _why(column: Any) -> str:
    import pandas as pd

    given = column[column.notna()]
    for value in given:
        try:
            pd.to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return f"are no datetime, such as {_shown(value)}; write 2024-12-31T23:59:00"
    return f"are written in several ways, such as {_shown(given.iloc[0])}; write all as 2024-12-31T23:59:00"


def _shown(value: Any) -> str:
    return str(value)[:40]
