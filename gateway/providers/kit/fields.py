"""Read a vendor's event field by field: what is missing or of another type is named.  Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping


class StrangeEventError(Exception):
    """An event lacks a field, or a field is not what the protocol says."""


class BrokenAudioError(StrangeEventError):
    """What should be audio cannot be decoded."""


class Fields:
    """The fields of one JSON object."""

    def __init__(self, value: Mapping[str, object], path: str = "") -> None:
        self._value = value
        self._path = path

    def text(self, key: str) -> str:
        """Return a text.  Raises StrangeEventError."""
        found = self._value.get(key)
        if not isinstance(found, str):
            raise self._strange(key, "a text", found)
        return found

    def optional_text(self, key: str) -> str:
        """Return a text, empty where there is none."""
        found = self._value.get(key)
        return found if isinstance(found, str) else ""

    def whole(self, key: str) -> int:
        """Return a whole number.  Raises StrangeEventError."""
        found = self._value.get(key)
        if not isinstance(found, int) or isinstance(found, bool):
            raise self._strange(key, "a whole number", found)
        return found

    def number(self, key: str) -> float:
        """Return a number.  Raises StrangeEventError."""
        found = self._value.get(key)
        if not isinstance(found, int | float) or isinstance(found, bool):
            raise self._strange(key, "a number", found)
        return float(found)

    def flag(self, key: str, default: bool = False) -> bool:  # noqa: FBT001, FBT002
        """Return a truth value, `default` where there is none."""
        found = self._value.get(key)
        return found if isinstance(found, bool) else default

    def audio(self, key: str) -> bytes:
        """Return the bytes of a Base64 text.  Raises BrokenAudioError, StrangeEventError."""
        coded = self.text(key)
        try:
            return base64.b64decode(coded, validate=True)
        except (binascii.Error, ValueError):
            raise BrokenAudioError(f"{self._path}{key} is not Base64") from None

    def inner(self, key: str) -> Fields:
        """Return the object within.  Raises StrangeEventError."""
        found = self._value.get(key)
        if not isinstance(found, dict):
            raise self._strange(key, "an object", found)
        return Fields(found, f"{self._path}{key}.")

    def inner_or_none(self, key: str) -> Fields | None:
        """Return the object within, None where there is none."""
        return self.inner(key) if isinstance(self._value.get(key), dict) else None

    def objects(self, key: str) -> list[Fields]:
        """Return a list of objects.  Raises StrangeEventError."""
        found = self.listed(key)
        if not all(isinstance(entry, dict) for entry in found):
            raise self._strange(key, "a list of objects", found)
        return [Fields(entry, f"{self._path}{key}.") for entry in found if isinstance(entry, dict)]

    def listed(self, key: str) -> list[object]:
        """Return a list.  Raises StrangeEventError."""
        found = self._value.get(key)
        if not isinstance(found, list):
            raise self._strange(key, "a list", found)
        return found

    def value(self, key: str) -> object:
        """Return whatever stands there, None where nothing does."""
        return self._value.get(key)

    def _strange(self, key: str, wanted: str, found: object) -> StrangeEventError:
        seen = "is missing" if found is None else f"is {type(found).__name__}, not {wanted}"
        return StrangeEventError(f"{self._path}{key} {seen}")
