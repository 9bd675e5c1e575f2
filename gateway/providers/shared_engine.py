"""SharedEngine: the one thread of a process that may run a library, and what it has loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.threads import BlockingEngine

T = TypeVar("T")


class SharedEngine(Generic[T]):
    """Made by its first user, ended by its last.  Loop thread only, but for `loaded`."""

    def __init__(self, name: str, load: Callable[[], T]) -> None:
        """Start nothing yet.

        Args:
            name: of the thread.
            load: loads what all users share; runs on the thread.
        """
        self._name = name
        self._load = load
        self._engine: BlockingEngine | None = None
        self._users = 0
        self._loaded: T | None = None

    def enter(self) -> BlockingEngine:
        """Count one more user and return the thread."""
        if self._engine is None:
            self._engine = BlockingEngine(self._name)
        self._users += 1
        return self._engine

    def leave(self) -> None:
        """Count one user less; the last one ends the thread."""
        self._users -= 1
        if not self._users and self._engine is not None:
            self._engine.close()
            self._engine = self._loaded = None

    def loaded(self) -> T:
        """Return what is loaded, with the first call.  On its thread only."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded
