"""Tape: what a turn taker was told besides audio, in order, so that a replay can tell it again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Told:
    """One input of a turn taker."""

    name: str
    """The method that was called."""
    heard: int
    """Audio time up to which it had heard the caller by then, in samples."""
    arguments: dict[str, Any]
    """By name; values that JSON can hold, or dataclasses of them."""


Tape = Callable[[Told], None]


class Taped(Protocol):
    """What has a tape running."""

    tape: Tape
    heard: int


T = TypeVar("T", bound=Taped)
P = ParamSpec("P")
R = TypeVar("R")


def taped(method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    """Mark a method as input: every call of it is told to the tape first.

    A taped method must not call another one: a replay would do that twice.
    """
    signature = inspect.signature(method)

    @wraps(method)
    def told(self: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        arguments = dict(signature.bind(self, *args, **kwargs).arguments)
        del arguments["self"]
        self.tape(Told(method.__name__, self.heard, arguments))
        return method(self, *args, **kwargs)

    told.is_taped = True  # type: ignore[attr-defined]
    return told


def is_taped(method: object) -> bool:
    """Say whether a method is an input that a tape holds."""
    return getattr(method, "is_taped", False) is True


def no_tape(_told: Told) -> None:
    """Keep nothing."""
