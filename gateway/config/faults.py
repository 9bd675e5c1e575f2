"""Pydantic's errors -> problems with file, line, key and the likely fix; secrets are not shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.locate import KeyPath

_SHOWN_LENGTH = 60
_SHAPES = {
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be an array",
    "missing": "required key is missing",
}


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
    if kind in _SHAPES:
        return _SHAPES[kind]
    if kind == "extra_forbidden":
        known = [*(more if len(loc) == 1 else ()), *_known_keys(model, loc[:-1])]
        return f"unknown key{did_you_mean(str(loc[-1]), known)}"
    if kind == "value_error":
        return str(details["ctx"]["error"])
    return details["msg"] + _shown(details["input"], _annotations(model, loc))


def _shown(value: object, annotations: list[Any]) -> str:
    """Quote a wrong value, unless it may be a secret or is no plain value."""
    if not annotations or any(map(_may_hold_secret, annotations)):
        return ""
    if not isinstance(value, str | int | float):
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return f", not {text}" if len(text) <= _SHOWN_LENGTH else ""


def _may_hold_secret(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return True
    return annotation is SecretStr or any(map(_may_hold_secret, get_args(annotation)))


def _known_keys(model: type[BaseModel], loc: KeyPath) -> list[str]:
    return [
        field.alias or name
        for table in _annotations(model, loc)
        if isinstance(table, type) and issubclass(table, BaseModel)
        for name, field in table.model_fields.items()
    ]


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
