"""An engine's table in the language of its agent: what its settings leave open is filled in.

A module says what it knows, and how it is told, by optional functions:

- `languages(settings)` returns primary codes such as `("en", "de")`; empty = the vendor knows.
- `detecting(settings)`, of a recognizer, returns the settings with which its transcripts name the
  language that was spoken; None where it cannot.
- `in_language(settings, language)` returns the settings for an agent that speaks a language
  (BCP 47, such as "de-AT").  Without it, a setting `language` that is empty by default gets the
  primary code.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel

from gateway.config.engine_table import EngineTable
from gateway.languages import primary
from gateway.providers import registry

InLanguage = Callable[[BaseModel, str], BaseModel]

_REGIONS = {"en": "en-US", "de": "de-DE", "fr": "fr-FR", "es": "es-ES", "it": "it-IT",
            "pt": "pt-PT", "nl": "nl-NL"}  # fmt: skip


def with_region(language: str) -> str:
    """Return "de-DE" of "de", for vendors that want a region; "de-AT" stays."""
    return _REGIONS.get(language.lower(), language)


def localized(kind: registry.Kind, table: EngineTable, language: str) -> EngineTable:
    """Return a checked table whose engine is told the language, unless its settings state it.

    Args:
        kind: of the engine.
        table: as checked.
        language: of the agent.
    """
    settings = registry.settings_of(kind, table)
    module = registry.load(kind, table.provider)
    hook: InLanguage = getattr(module, "in_language", _by_its_setting)
    return _changed(table, settings, hook(settings, language))


def _changed(table: EngineTable, settings: BaseModel, told: BaseModel) -> EngineTable:
    """Return a table whose settings are others, so that it names another engine."""
    changed = {
        name: getattr(told, name)
        for name in type(told).model_fields
        if getattr(told, name) != getattr(settings, name)
    }
    if not changed:
        return table
    aliases = {name: field.alias or name for name, field in type(told).model_fields.items()}
    rest = table.rest() | {aliases[name]: value for name, value in changed.items()}
    return table.checked(settings.model_copy(update=changed), rest)


def detecting(table: EngineTable) -> EngineTable | None:
    """Return a recognizer's table with which it reports the language; None = it cannot."""
    hook = getattr(registry.load("stt", table.provider), "detecting", None)
    settings = registry.settings_of("stt", table)
    told: BaseModel | None = hook(settings) if hook else None
    return None if told is None else _changed(table, settings, told)


def known_languages(kind: registry.Kind, table: EngineTable) -> tuple[str, ...]:
    """Return what an engine knows with its settings; empty = every language may be tried."""
    known = getattr(registry.load(kind, table.provider), "languages", None)
    found: tuple[str, ...] = known(registry.settings_of(kind, table)) if known else ()
    return found


def _by_its_setting(settings: BaseModel, language: str) -> BaseModel:
    field = type(settings).model_fields.get("language")
    is_stated = "language" in settings.model_fields_set
    if field is None or field.default != "" or is_stated:
        return settings
    return settings.model_copy(update={"language": primary(language)})
