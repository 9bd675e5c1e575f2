"""What every provider module promises; the base of the contracts of the four kinds.

A provider's tests inherit the contract of its kind, with a fixture `provider` that gives a
`Subject`: `class TestAcme(VoiceContract)`, or `RecognizerContract`, `ModelContract`,
`DetectorContract`.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.providers import registry
from gateway.providers.contracts import ProviderSettings
from gateway.providers.registry import Kind


@dataclass
class Subject:
    """A provider under test."""

    kind: Kind
    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    """Those without which it cannot be made."""
    server: Callable[[], AbstractAsyncContextManager[Mapping[str, Any]]] = lambda: nullcontext(
        dict[str, Any]()
    )
    """A double of its vendor; enters with further settings."""
    make: Callable[[], Any] | None = None
    """Makes it in another way than by its settings: with a part that can be had nowhere."""
    table: dict[str, Any] = field(default_factory=dict)
    """That of the present run."""

    @property
    def module(self) -> ModuleType:
        return registry.load(self.kind, self.name)

    def another(self) -> Any:
        """Make one with the settings of the present run."""
        return self.make() if self.make else registry.create(self.kind, self.table)

    def using(self, use: Callable[[Any], Awaitable[None]], **settings: object) -> None:
        """Run `use` with a warm provider and close it in the same event loop, twice."""

        async def run() -> None:
            async with asyncio.timeout(100), self.server() as more:
                self.table = {"provider": self.name, **self.settings, **more, **settings}
                made = self.another()
                try:
                    await made.warm_up()
                    await use(made)
                finally:
                    await made.close()
                    await made.close()

        asyncio.run(run())
        gc.collect()  # whatever was left open would warn here, and warnings are errors


class ProviderContract:
    """The tests of all kinds."""

    def test_the_module_says_what_it_is(self, provider: Subject):
        module = provider.module
        assert module.__doc__
        assert module.SUMMARY
        assert "\n" not in module.SUMMARY
        assert isinstance(module.probe(), str)

    def test_settings_are_strict_and_frozen(self, provider: Subject):
        settings = provider.module.Settings
        assert issubclass(settings, ProviderSettings)
        assert settings.model_config["frozen"]
        with pytest.raises(ValidationError, match="no_such_key"):
            settings(**provider.settings, no_such_key=1)

    def test_it_is_made_quickly_and_closed_without_having_been_used(self, provider: Subject):
        async def run() -> None:
            provider.table = {"provider": provider.name, **provider.settings}
            made = provider.another()
            await made.close()
            await made.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(run())
        gc.collect()

    def test_it_is_warmed_up_twice_and_opened_again_after_close(self, provider: Subject):
        async def use(made: Any) -> None:
            await made.warm_up()

        provider.using(use)
        provider.using(use)
