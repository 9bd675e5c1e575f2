"""Frames judged by a vendor's own types, strictly: no field that these types do not have.

The vendors' SDKs accept additional fields, so that old ones can read new servers; a double that
sends a field of its own invention would pass with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel


def assert_only_known(value: object, path: str = "") -> None:
    """Raise ValueError if a validated model, or one within it, carries unknown fields."""
    if isinstance(value, BaseModel):
        if value.model_extra:
            raise ValueError(f"{path or type(value).__name__}: unknown {sorted(value.model_extra)}")
        for name in type(value).model_fields:
            assert_only_known(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for entry in value:
            assert_only_known(entry, path)


def assert_one_of(value: object, *known: object) -> None:
    if value not in known:
        raise ValueError(f"{value!r} is none of {known}")


@contextmanager
def old_websockets() -> Iterator[None]:
    """Import SDKs that still look for names which websockets 14 has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


Frame = dict[str, Any]
