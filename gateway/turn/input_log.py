"""The log of a turn taker's inputs other than audio, in order, so that a replay can repeat them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class TurnInput:
    """One input of a turn taker."""

    name: str
    """The method that was called."""
    heard: int
    """Audio time up to which it had processed the caller's audio by then, in samples."""
    arguments: dict[str, Any]
    """By name; values that JSON can hold, or dataclasses of them."""


InputLog = Callable[[TurnInput], None]


class HasInputLog(Protocol):
    """An object that logs its inputs."""

    log_input: InputLog
    heard: int


T = TypeVar("T", bound=HasInputLog)
P = ParamSpec("P")
R = TypeVar("R")


def turn_input(method: Callable[Concatenate[T, P], R]) -> Callable[Concatenate[T, P], R]:
    """Mark a method as an input: log every call of it before it runs.

    A marked method must not call another one: a replay would do that twice.
    """
    signature = inspect.signature(method)

    @wraps(method)
    def logged(self: T, /, *args: P.args, **kwargs: P.kwargs) -> R:
        arguments = dict(signature.bind(self, *args, **kwargs).arguments)
        del arguments["self"]
        self.log_input(TurnInput(method.__name__, self.heard, arguments))
        return method(self, *args, **kwargs)

    logged.is_turn_input = True  # type: ignore[attr-defined]
    return logged


def is_turn_input(method: object) -> bool:
    """Return whether a method is marked as an input."""
    return getattr(method, "is_turn_input", False) is True


def no_log(_input: TurnInput) -> None:
    """Log nothing."""
