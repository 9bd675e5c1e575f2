"""Pydantic's errors in plain words: what a value must be.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic_core import ErrorDetails

_MUST_BE: Mapping[str, str] = {
    "missing": "required key is missing",
    "extra_forbidden": "unknown key",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be an array",
    "list_type": "must be an array",
    "string_type": 'must be text in quotes ("...")',
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}
_LIMITS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("must be more than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
}
_FORMS: tuple[tuple[str, str], ...] = (
    (r"^wss?://", "must be an address that begins with wss:// or ws://"),
    (r"^https?://", "must be an address that begins with https:// or http://"),
    (r"^[A-Za-z0-9_-]+$", 'must hold letters, digits, "_" and "-" only'),
    (r"^\d{8}-\d{6}-[0-9a-f]{8}$", "must be a call's id, such as 20261120-132233-9f03ab7c"),
    (r"^[A-Za-z]{2,3}(-", 'must be a language such as "en" or "de-AT"'),
    (r"^[0-9*#]?$", 'must be one key: a digit, "*", "#", or "" for none'),
    (r"^[0-9*#]$", 'must be one key: a digit, "*" or "#"'),
)
"""Beginning of a pattern -> what it asks for."""


def plain(details: ErrorDetails) -> str:
    """Return what is wrong with a value as a sentence without a subject: "must be at least 1"."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in _LIMITS:
        words, name = _LIMITS[kind]
        limit = context[name]
        return f"{words} {limit:g}" if isinstance(limit, int | float) else f"{words} {limit}"
    if kind == "missing" and isinstance(details["loc"][-1], int):
        return f"value number {details['loc'][-1] + 1} is missing"
    if kind == "literal_error":
        return "must be " + re.sub(r"'([^']*)'", r'"\1"', context["expected"])
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        known = (words for form, words in _FORMS if pattern.startswith(form))
        return next(known, f"must match the pattern {pattern}")
    return _MUST_BE.get(kind, details["msg"])
