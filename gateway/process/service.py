"""What calls are served with: the agents and the dialplan of one configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.config.dialplans import Dialplan
from gateway.config.models import GatewayConfig
from gateway.process.agents import Agents, EnginePool
from gateway.process.setup import Setup


class Service:
    """One configuration at work.  Calls that began with it end with it."""

    def __init__(self, setup: Setup, config: GatewayConfig, pool: EnginePool) -> None:
        """Build the agents.

        Args:
            setup: the configuration and dialplan as checked.
            config: the same as this worker sees it (ports of its seat).
            pool: engines that another service may use too.

        Raises:
            GatewayError: a provider or tool cannot be built.
        """
        self.config = config
        self.plan: Dialplan = setup.plan
        self.agents = Agents(config.agents, setup.folder, pool)
        self._calls = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Hold it for one call."""
        self._calls += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._is_idle.set()

    async def close_when_idle(self) -> None:
        """Give the engines back once the last call that holds it is over."""
        await self._is_idle.wait()
        await self.agents.close()
