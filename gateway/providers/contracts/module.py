"""What a provider module and its settings must be, and how it is listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

from pydantic import BaseModel, ConfigDict


class ProviderSettings(BaseModel):
    """Base of every provider's `Settings`: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HelperProcess(Protocol):
    """A process that serves every worker of a gateway; runs from `__aenter__` to `__aexit__`."""

    socket: Path

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""

    async def __aenter__(self) -> object:
        """Start and wait until it is ready.  Raises ProviderError."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Stop."""


@dataclass(frozen=True, slots=True)
class Helper:
    """The helper processes that a provider wants: its module returns it from `helper(settings)`."""

    name: str
    """Of the processes, in lists."""
    variable: str
    """Environment variable that gives the path of a socket to each worker."""
    make: Callable[[Path, int], HelperProcess]
    """Makes one, not yet started, from the path of its socket and a number of threads."""


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """One line of `gateway providers`."""

    kind: str
    name: str
    summary: str
    available: bool
    hint: str = field(default="")
    """What to do when it is not available."""
