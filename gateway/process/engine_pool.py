"""EnginePool: the engines of a worker, shared by agents and calls that have the same settings."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import SecretStr

from gateway.config.engine_table import EngineTable
from gateway.conversation.voice import Voice
from gateway.providers.contracts import TextToSpeech


class Closable(Protocol):
    """Something that is released."""

    async def close(self) -> None:
        """Release everything.  Idempotent."""


E = TypeVar("E", bound=Closable)


class EnginePool:
    """Engines by their settings: made on first use, closed after their last use."""

    def __init__(self) -> None:
        self._engines: dict[str, Closable] = {}
        self._users: dict[str, int] = {}
        self._voices: dict[str, dict[str, Voice]] = {}

    def take(self, key: str, make: Callable[[], E]) -> E:
        """Return the engine of a key and count one more user."""
        if key not in self._engines:
            self._engines[key] = make()
        self._users[key] = self._users.get(key, 0) + 1
        engine: E = self._engines[key]  # type: ignore[assignment]  # keys begin with the kind
        return engine

    def voice(self, key: str, synthesizer: TextToSpeech, language: str) -> Voice:
        """Return the voice of a synthesizer that was taken: it keeps what was rendered ahead."""
        voices = self._voices.setdefault(key, {})
        return voices.setdefault(language, Voice(synthesizer, language))

    async def give_back(self, key: str) -> None:
        """Count one user less; the last one closes the engine."""
        engine = self._engines[key]
        if self.forget(key):
            await engine.close()

    def forget(self, key: str) -> bool:
        """Count one user less of an engine that was never warmed; True when it was the last."""
        self._users[key] -= 1
        if self._users[key]:
            return False
        del self._users[key], self._engines[key]
        self._voices.pop(key, None)
        return True


def key_of(kind: str, table: EngineTable) -> str:
    """Name an engine by its settings; a file in them that has changed makes another engine."""
    if table.plan is not None:
        members = [f"{name} {key_of(kind, each)}" for name, each in table.plan.members.items()]
        return f"{kind} router {table.plan.name} {table.plan.router!r} {members!r}"
    settings = sorted((key, _identity(value)) for key, value in table.rest().items())
    return f"{kind} {table.provider} {settings!r}"


def _identity(value: object) -> object:
    if isinstance(value, SecretStr):
        return sha256(value.get_secret_value().encode()).hexdigest()
    if isinstance(value, Path) and value.is_file():
        found = value.stat()
        return str(value), found.st_mtime_ns, found.st_size
    return value
