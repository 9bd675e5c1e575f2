"""One engine table against the `Settings` of the provider that it names."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr, ValidationError

from gateway.config.engine_table import EngineTable
from gateway.config.faults import faults_of
from gateway.config.locate import KeyPath
from gateway.errors import ProviderUnavailable
from gateway.models import located
from gateway.providers import registry


class WrongSettingsError(Exception):
    """Settings that their provider does not accept."""

    def __init__(self, faults: list[tuple[KeyPath, str]]) -> None:
        self.faults = faults
        super().__init__()


def checked_table(
    kind: registry.Kind, table: EngineTable, folder: Path, name: str = ""
) -> EngineTable:
    """Return a table with validated settings, absolute paths and wrapped secrets.

    Args:
        kind: what the provider is to do.
        table: as read.
        folder: relative paths in it start here.
        name: of the table in `[engines]`.

    Raises:
        ProviderUnavailable: there is no such provider.
        WrongSettingsError: its settings are wrong.
    """
    rest, paths = table.rest(), {}
    if not table.provider:
        known = ", ".join(info.name for info in registry.available(kind))
        raise ProviderUnavailable(kind, f"names the provider; known: {known}")
    try:
        settings = registry.settings_of(kind, table)
    except ValidationError as error:
        model = registry.load(kind, table.provider).Settings
        own = tuple(name for name in type(table).model_fields if name not in {"provider", "use"})
        raise WrongSettingsError(list(faults_of(error, model, own))) from error
    for field_name, field in type(settings).model_fields.items():
        key = field.alias or field_name
        value = getattr(settings, field_name)
        if key in rest and isinstance(value, Path):
            rest[key] = paths[field_name] = located(value, folder)
        elif key in rest and isinstance(value, SecretStr):
            rest[key] = value
    return table.checked(settings.model_copy(update=paths), rest, name)
