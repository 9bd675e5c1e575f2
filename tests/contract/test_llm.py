"""Every file in providers/llm keeps the contract of language models.

One that needs settings, or a server, gets a line in `SUBJECTS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.providers import registry
from tests.support.llm_server import LlmServer
from tests.support.model_contract import ModelContract
from tests.support.provider_contract import Subject

NAMES = [info.name for info in registry.available("llm")]


@asynccontextmanager
async def chat_completions() -> AsyncIterator[Mapping[str, Any]]:
    async with LlmServer() as server:
        yield {"base_url": server.base_url}


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "openai": lambda: Subject("llm", "openai", {"model": "test"}, chat_completions),
}


class TestModels(ModelContract):
    @pytest.fixture(params=NAMES)
    def provider(self, request: pytest.FixtureRequest) -> Subject:
        return SUBJECTS.get(request.param, lambda: Subject("llm", request.param))()
