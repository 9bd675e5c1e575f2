"""What is wrong with a value, in words that say what to write."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from gateway.wording import plain

BEGIN = datetime(1970, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Annotated[int, Field(ge=1)], 0, "must be at least 1"),
        (Annotated[float, Field(lt=0.5)], 0.5, "must be less than 0.5"),
        (
            Annotated[datetime, Field(ge=BEGIN)],
            "0001-01-01T00:00:00Z",
            "must be at least 1970-01-02T00:00:00Z",
        ),
        (Annotated[date, Field(gt=date(2026, 1, 1))], "2025-01-01", "must be more than 2026-01-01"),
        (Annotated[timedelta, Field(le=timedelta(hours=1))], 3601, "must be at most 1 hour"),
        (Literal["low", "high"], "mid", 'must be "low" or "high"'),
        (bool, "perhaps", "must be true or false"),
    ],
)
def test_in_words(kind: object, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as found:
        TypeAdapter(kind).validate_python(value)
    (fault,) = found.value.errors()
    assert plain(fault) == words
