"""The base of every configuration table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535)]


class Table(BaseModel):
    """A TOML table: frozen, unknown keys are errors, defaults are checked too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return this table with other values for some keys, validated as a whole.

        Args:
            changes: tables in it as mappings; what they do not name stays.

        Raises:
            pydantic.ValidationError: a key or a value is wrong.
        """
        known = self.model_dump(by_alias=True, exclude_unset=True)
        return self.model_validate(merged(known, changes))


def merged(known: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with the values of another in it; tables in both are merged.  Pure."""
    found = dict(known)
    for key, value in changes.items():
        before = found.get(key)
        is_table = isinstance(value, Mapping) and isinstance(before, Mapping)
        found[key] = merged(before, value) if is_table else value  # type: ignore[arg-type]
    return found


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested tables by dotted keys.  Pure."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted keys as nested tables.  Pure."""
    found: dict[str, Any] = {}
    for name, value in dotted.items():
        *tables, key = name.split(".")
        table = found
        for each in tables:
            table = table.setdefault(each, {})
        table[key] = value
    return found
