"""Presets are the provider `openai` with other defaults, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.errors import ProviderRejected
from gateway.providers import registry
from gateway.providers.contracts import (
    AssistantMessage,
    LanguageModel,
    ProviderSettings,
    ReplyRequest,
    ToolCall,
    ToolResult,
    UserMessage,
)
from gateway.providers.llm import openai
from gateway.providers.llm._presets import PRESETS
from tests.contract.test_llm_openai import fail, read
from tests.support.llm_server import Answer, LlmServer
from tests.support.model_contract import text_of

every_preset = pytest.mark.parametrize("name", PRESETS)
HISTORY = (UserMessage("x"), AssistantMessage("", (ToolCall("call_1", "t", "{}"),)),
           ToolResult("call_1", "t", "1"))  # fmt: skip


def settings_of(name: str, **table: Any) -> Any:
    if name == "azure":
        table.setdefault("base_url", "https://desk.openai.azure.com/openai/v1")
    return registry.load("llm", name).Settings(**{"model": "m", **table})


@every_preset
def test_it_is_listed_and_strict(name: str):
    (info,) = (info for info in registry.available("llm") if info.name == name)
    module = registry.load("llm", name)
    assert info.available
    assert module.__doc__
    assert issubclass(module.Settings, ProviderSettings)
    for wrong in ({"no_such_key": 1}, {"model": ""}, {"base_url": "localhost"}):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            settings_of(name, **wrong)
    with pytest.raises(ValidationError, match="model"):
        module.Settings(**({"base_url": "http://h"} if name == "azure" else {}))


@every_preset
def test_the_key_is_read_from_its_variable(name: str, monkeypatch: pytest.MonkeyPatch):
    module, variable = registry.load("llm", name), PRESETS[name].key_variable
    for preset in PRESETS.values():
        monkeypatch.delenv(preset.key_variable or "NONE", raising=False)
    told = [f"{key} {text}" for key, text in module.cautions(settings_of(name))]
    assert len(told) == bool(variable)
    assert all(variable in text for text in told)
    if variable:
        monkeypatch.setenv(variable, " sk-of-the-vendor\n")
        settings = settings_of(name)
        assert settings.api_key == SecretStr("sk-of-the-vendor")
        assert "sk-of" not in repr(settings)
        assert not list(module.cautions(settings))
        assert settings_of(name, api_key="sk-own").api_key == SecretStr("sk-own")


@every_preset
def test_it_answers_and_names_itself_in_errors(name: str):
    async def run() -> None:
        async with asyncio.timeout(20), LlmServer(Answer(text="Fine.")) as server:
            table = {"provider": name, "base_url": server.base_url, "model": "m"}
            model: LanguageModel = registry.create("llm", table | {"api_key": "sk-secret"})
            try:
                await model.warm_up()
                assert text_of(await read(model, ReplyRequest("", HISTORY))) == "Fine."
                server.default = Answer(status=401)
                error, _ = await fail(model)
            finally:
                await model.close()
        assert type(error) is ProviderRejected
        assert error.provider == name
        (seen, _) = server.completions
        key = seen.headers.get("api-key") if name == "azure" else seen.headers["authorization"]
        assert key == ("sk-secret" if name == "azure" else "Bearer sk-secret")
        ids = {message["tool_call_id"] for message in seen.body["messages"][2:3]}
        assert (ids == {"call_1"}) is (name != "mistral")
        assert ("stream_options" in seen.body) is (name != "mistral")

    asyncio.run(run())


def test_a_preset_is_the_provider_with_other_defaults():
    same = openai.Settings(model="m", base_url="https://api.groq.com/openai/v1", api_key="k")
    assert settings_of("groq", api_key="k").model_dump() == same.model_dump()
    assert "azure" in PRESETS
    with pytest.raises(ValidationError, match="base_url"):
        registry.load("llm", "azure").Settings(model="m")
