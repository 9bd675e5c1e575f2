"""Presets: servers with OpenAI's chat completions by their name, `provider = "groq"`.

Each is the provider `openai` with other defaults: where the server is, which environment variable
has its key, what it wants otherwise.  A line in `PRESETS` is all that another one needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from pydantic import Field, SecretStr, create_model

from gateway.providers.contracts import LanguageModel
from gateway.providers.kit.advice import Advice
from gateway.providers.kit.http_model import HttpModel
from gateway.providers.llm import openai


@dataclass(frozen=True, slots=True)
class Preset:
    """One server."""

    title: str
    base_url: str = ""
    """Empty = the operator's own, which must be written."""
    key_variable: str = ""
    """Environment variable that `api_key` is read from; empty = the server asks for none."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Of other settings."""


_MISTRAL = {"call_ids": "nine_alphanumerics", "stream_usage": False}
"""It counts tokens unasked, and older servers of it refuse the question."""
_AZURE = {"key_header": "api-key"}
PRESETS: Mapping[str, Preset] = {
    "azure": Preset("Azure OpenAI", "", "AZURE_OPENAI_API_KEY", _AZURE),
    "cerebras": Preset("Cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepseek": Preset("DeepSeek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "groq": Preset("Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "llama_cpp": Preset("llama.cpp's server on this machine", "http://127.0.0.1:8080/v1"),
    "mistral": Preset("Mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", _MISTRAL),
    "ollama": Preset("Ollama on this machine", "http://127.0.0.1:11434/v1"),
    "openrouter": Preset("OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": Preset("Together AI", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "vllm": Preset("vLLM on this machine", "http://127.0.0.1:8000/v1"),
    "xai": Preset("xAI", "https://api.x.ai/v1", "XAI_API_KEY"),
}


def _module(name: str, preset: Preset) -> ModuleType:
    """Make what a file of this folder would be."""
    made = ModuleType(f"{__name__}.{name}", f"{preset.title}, by the provider `openai`.")
    key = f"; key in {preset.key_variable}" if preset.key_variable else ""
    summary = f"{preset.title}: openai with base_url {preset.base_url or 'of your resource'}{key}."

    def create(settings: openai.Settings) -> LanguageModel:
        return HttpModel(settings, openai.ChatCompletions(settings, name))

    def cautions(settings: openai.Settings) -> Iterator[Advice]:
        has_key = bool(settings.api_key.get_secret_value())
        is_vendors = not preset.base_url or settings.base_url == preset.base_url
        if preset.key_variable and is_vendors and not has_key:
            variable = preset.key_variable
            yield "api_key", f'is empty: export {variable}, or write api_key = "${{NAME}}"'

    parts = {"SUMMARY": summary, "BASE": openai, "Settings": _settings(name, preset)}
    hooks = {"create": create, "cautions": cautions, "probe": openai.probe}
    vars(made).update(parts | hooks)
    return made


def _settings(name: str, preset: Preset) -> type[openai.Settings]:
    known = openai.Settings.model_fields
    changed: dict[str, Any] = dict(preset.defaults)
    if preset.base_url:
        changed["base_url"] = preset.base_url
    fields: dict[str, Any] = {
        key: (known[key].rebuild_annotation(), value) for key, value in changed.items()
    }
    if not preset.base_url:
        fields["base_url"] = (known["base_url"].rebuild_annotation(), ...)
    if preset.key_variable:
        factory = _key_in(preset.key_variable)
        fields["api_key"] = (SecretStr, Field(default_factory=factory))
    return create_model(f"{name.title()}Settings", __base__=openai.Settings, **fields)


def _key_in(variable: str) -> Callable[[], SecretStr]:
    return lambda: SecretStr(os.environ.get(variable, "").strip())


MODULES: Mapping[str, ModuleType] = {name: _module(name, it) for name, it in PRESETS.items()}
"""By name, for the registry."""
