"""Pydantic's errors -> problems with file, line, key and the likely fix; secrets are not shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.config.locate import KeyPath
from gateway.wording import plain

_SHOWN_LENGTH = 60
_NO_VALUE = {"missing", "value_error"}
"""Kinds of errors whose sentence says all; the value is not quoted."""


def faults_of(
    error: ValidationError, model: type[BaseModel], more: Sequence[str] = ()
) -> Iterator[tuple[KeyPath, str]]:
    """Turn a validation error into key paths and plain sentences.

    Args:
        error: what `model` raised.
        model: it is asked for the keys it knows and which of them are secret.
        more: keys of the table that the model does not know, because they are read elsewhere.
    """
    for details in error.errors(include_url=False):
        yield details["loc"], _sentence(details, model, more)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return ` (did you mean "..."?)`, else `; known: ...`."""
    nearest = get_close_matches(word, known, n=1)
    if nearest:
        return f' (did you mean "{nearest[0]}"?)'
    return f"; known: {', '.join(known) or 'none'}"


def _sentence(details: ErrorDetails, model: type[BaseModel], more: Sequence[str]) -> str:
    loc, kind = details["loc"], details["type"]
    if kind == "extra_forbidden":
        return f"unknown key{_where_it_is_known(model, loc, more)}"
    if kind in {"model_type", "dict_type", "tuple_type"}:
        return plain(details) + _how_to_write(details, _annotations(model, loc))
    if kind in _NO_VALUE:
        return plain(details)
    return plain(details) + _shown(details["input"], _annotations(model, loc))


def _where_it_is_known(model: type[BaseModel], loc: KeyPath, more: Sequence[str]) -> str:
    """Return the table below that has this key, the key that may be meant, or all keys."""
    *table, key = loc
    inner = [
        ".".join(map(str, (*table, name)))
        for outer in _annotations(model, loc[:-1])
        for name, field in _keys(outer).items()
        if any(key in _keys(below) for below in _flat(field.annotation))
    ]
    if inner:
        return f": it belongs in {' or '.join(f'[{name}]' for name in inner)}"
    own = [name for outer in _annotations(model, loc[:-1]) for name in _keys(outer)]
    return did_you_mean(str(key), [*(more if len(loc) == 1 else ()), *own])


def _keys(annotation: object) -> dict[str, FieldInfo]:
    """Return the keys of a table; none of what is no table."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in annotation.model_fields.items()}


def _how_to_write(details: ErrorDetails, annotations: list[Any]) -> str:
    """Return how a table or an array is written, where the value shows what was meant."""
    value = details["input"]
    if details["type"] == "tuple_type":
        if isinstance(value, dict):
            return f" of tables: write [[{details['loc'][-1]}]]"
        members = {member for one in annotations for member in get_args(one)} - {Ellipsis}
        if members == {str} and isinstance(value, str | int):
            return f": write [{_quoted(str(value))}]"
        return ': write ["..."]' if members <= {str, SecretStr} else ""
    if isinstance(value, str) and any("provider" in _keys(one) for one in annotations):
        return f": write {{ provider = {_quoted(value)} }}"
    return ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _shown(value: object, annotations: list[Any]) -> str:
    """Quote a wrong value, unless it may be a secret or is no plain value."""
    if not annotations or any(map(_may_hold_secret, annotations)):
        return ""
    if not isinstance(value, str | int | float):
        return ""
    text = _quoted(value) if isinstance(value, str) else json.dumps(value)
    return f", not {text}" if len(text) <= _SHOWN_LENGTH else ""


def _may_hold_secret(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return annotation is SecretStr or any(map(_may_hold_secret, get_args(annotation)))


def _annotations(model: type[BaseModel], loc: KeyPath) -> list[Any]:
    """List the types that the value at a key path may have; empty when that is unknown."""
    found: list[Any] = [model]
    for part in loc:
        found = [inner for outer in found for inner in _inner(outer, part)]
    return found


def _inner(annotation: object, part: str | int) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return [t for name, f in fields if part in {name, f.alias} for t in _flat(f.annotation)]
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple and isinstance(part, int):
        is_open = arguments[-1] is Ellipsis
        return _flat(arguments[0 if is_open else min(part, len(arguments) - 1)])
    if get_origin(annotation) is dict:
        return _flat(arguments[1])
    return []


def _flat(annotation: object) -> list[Any]:
    """Yield the members of unions and `Annotated`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _flat(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return [t for member in get_args(annotation) for t in _flat(member)]
    return [] if annotation is NoneType else [annotation]
