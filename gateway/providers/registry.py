"""From a provider's name in the configuration to the provider.

`load("tts", "acme")` imports `gateway.providers.tts.acme`, else the entry point `acme` of
group `gateway.tts` (third-party wheels).  The file's name is the provider's name; a file
`_presets.py` of the folder has further ones in `MODULES`, by name.  Every provider module has
`SUMMARY`, `Settings`, `create(settings)` and `probe()`.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Literal, cast, overload

from pydantic import BaseModel

from gateway.config.engine_table import EngineTable
from gateway.errors import ProviderUnavailable
from gateway.providers.contracts import (
    Helper,
    LanguageModel,
    ProviderInfo,
    ProviderSettings,
    SpeechToText,
    TextToSpeech,
    VoiceDetection,
)
from gateway.providers.speech_to_speech import SpeechToSpeech

Kind = Literal["stt", "llm", "tts", "s2s", "vad"]
"""What a provider does; also the name of its folder."""
Table = EngineTable | Mapping[str, Any]
"""A table of the configuration, checked or not."""


def load(kind: Kind, name: str) -> ModuleType:
    """Import one provider module; nothing heavy is loaded by that.

    Raises:
        ProviderUnavailable: no such provider, or its module cannot be imported.
    """
    try:
        if name in _file_names(kind):
            return importlib.import_module(f"gateway.providers.{kind}.{name}")
        if preset := _presets(kind).get(name):
            return preset
        if plug_in := _entry_points(kind).get(name):
            return _module(plug_in)
    except (ImportError, AttributeError) as error:
        raise ProviderUnavailable(f"{kind}/{name}", f"cannot be imported: {error}") from error
    raise ProviderUnavailable(f"{kind}/{name}", _unknown(kind, name))


def available(kind: Kind) -> list[ProviderInfo]:
    """List every provider of a kind, sorted by name, with what is missing for it here."""
    return [_describe(kind, name) for name in sorted(names(kind))]


@overload
def create(kind: Literal["stt"], table: Table) -> SpeechToText: ...
@overload
def create(kind: Literal["llm"], table: Table) -> LanguageModel: ...
@overload
def create(kind: Literal["tts"], table: Table) -> TextToSpeech: ...
@overload
def create(kind: Literal["s2s"], table: Table) -> SpeechToSpeech: ...
@overload
def create(kind: Literal["vad"], table: Table) -> VoiceDetection: ...
def create(kind: Kind, table: Table) -> object:
    """Build the provider that a configuration table such as `{ provider = "flite" }` asks for.

    Args:
        kind: what the provider does.
        table: `provider` names it, the rest is validated by its `Settings`, unless it was.

    Raises:
        ProviderUnavailable: there is no such provider, or the table names none.
        pydantic.ValidationError: the rest of the table is wrong.
    """
    table = table if isinstance(table, EngineTable) else EngineTable(**table)
    return load(kind, _named(kind, table)).create(settings_of(kind, table))


def settings_of(kind: Kind, table: EngineTable) -> BaseModel:
    """Return the settings in a table, validated once.  Raises as `create`."""
    if table.settings is not None:
        return table.settings
    model: type[ProviderSettings] = load(kind, _named(kind, table)).Settings
    return model.model_validate(table.rest())


def helpers(tables: Iterable[tuple[Kind, EngineTable]]) -> tuple[Helper, ...]:
    """Return the helper processes that engines want, each once.  Raises as `create`."""
    found: dict[str, Helper] = {}
    for kind, table in tables:
        hook = getattr(load(kind, _named(kind, table)), "helper", None)
        wanted = cast("Helper | None", hook(settings_of(kind, table))) if hook else None
        if wanted is not None:
            found[wanted.variable] = wanted
    return tuple(found.values())


def _named(kind: Kind, table: EngineTable) -> str:
    if not table.provider:
        raise ProviderUnavailable(kind, f"no provider is named; known: {_listing(kind)}")
    return table.provider


def _file_names(kind: Kind) -> set[str]:
    package = importlib.import_module(f"gateway.providers.{kind}")
    found = pkgutil.iter_modules(package.__path__)
    return {module.name for module in found if not module.name.startswith("_")}


def _presets(kind: Kind) -> Mapping[str, ModuleType]:
    name = f"gateway.providers.{kind}._presets"
    if importlib.util.find_spec(name) is None:
        return {}
    modules: Mapping[str, ModuleType] = importlib.import_module(name).MODULES
    return modules


def _entry_points(kind: Kind) -> dict[str, EntryPoint]:
    return {plug_in.name: plug_in for plug_in in entry_points(group=f"gateway.{kind}")}


def names(kind: Kind) -> set[str]:
    """Return the name of every provider of a kind, without importing any."""
    return _file_names(kind) | set(_presets(kind)) | set(_entry_points(kind))


def _listing(kind: Kind) -> str:
    return ", ".join(sorted(names(kind)))


def _module(plug_in: EntryPoint) -> ModuleType:
    module = plug_in.load()
    if isinstance(module, ModuleType):
        return module
    raise ProviderUnavailable(plug_in.name, f"entry point {plug_in.value!r} must name a module")


def _unknown(kind: Kind, name: str) -> str:
    nearest = get_close_matches(name, names(kind), n=1)
    guess = f' (did you mean "{nearest[0]}"?)' if nearest else ""
    return f"no such provider{guess}; known: {_listing(kind)}"


def _describe(kind: Kind, name: str) -> ProviderInfo:
    try:
        module = load(kind, name)
    except ProviderUnavailable as error:
        return ProviderInfo(kind, name, summary="", available=False, hint=error.problem)
    hint: str = module.probe()
    return ProviderInfo(kind, name, summary=module.SUMMARY, available=not hint, hint=hint)
