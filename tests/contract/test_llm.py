"""Every file in providers/llm keeps the contract of language models.

One that needs settings, or a server, gets a line in `SUBJECTS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.providers import registry
from tests.support.anthropic_double import AnthropicServer
from tests.support.gemini_model_double import GeminiModelServer
from tests.support.llm_server import LlmServer
from tests.support.model_contract import ModelContract
from tests.support.native_models import KEY
from tests.support.provider_contract import Subject
from tests.support.responses_double import ResponsesServer

NAMES = [info.name for info in registry.available("llm")
         if not hasattr(registry.load("llm", info.name), "BASE")]  # fmt: skip
"""Presets have tests of their own: `test_llm_presets.py`."""


@asynccontextmanager
async def chat_completions() -> AsyncIterator[Mapping[str, Any]]:
    async with LlmServer() as server:
        yield {"base_url": server.base_url}


DOUBLES = {
    "anthropic": AnthropicServer,
    "gemini": GeminiModelServer,
    "openai_responses": ResponsesServer,
}
SUBJECTS: dict[str, Callable[[], Subject]] = {
    "openai": lambda: Subject("llm", "openai", {"model": "test"}, chat_completions),
}


def subject_of(name: str) -> Subject:
    if name in SUBJECTS:
        return SUBJECTS[name]()
    if name not in DOUBLES:
        return Subject("llm", name)

    @asynccontextmanager
    async def double() -> AsyncIterator[Mapping[str, Any]]:
        async with DOUBLES[name]() as server:
            yield {"base_url": server.base_url}
            assert not server.strange

    return Subject("llm", name, {"model": "test", "api_key": KEY}, double)


class TestModels(ModelContract):
    @pytest.fixture(params=NAMES)
    def provider(self, request: pytest.FixtureRequest) -> Subject:
        return subject_of(request.param)
