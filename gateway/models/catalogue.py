"""The catalogue of models: `catalogue.toml` of this folder."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from gateway.errors import GatewayError

_FILE = Path(__file__).parent / "catalogue.toml"


class UnknownModel(GatewayError):  # noqa: N818 (says what is wrong)
    """There is no model of this name."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFile(_Entry):
    """One file of a model, as it is fetched."""

    url: Annotated[str, Field(pattern=r"^(https://|http://127\.0\.0\.1[:/])[^\s]+$")]
    """HTTPS, or this machine."""
    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$")]
    """In the model's folder; a `.zip` is unpacked there."""
    bytes: Annotated[int, Field(ge=0)]
    """0 = not known."""
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    """Empty = not known."""

    @property
    def is_archive(self) -> bool:
        """Return whether it is unpacked."""
        return self.name.endswith(".zip")


class Model(_Entry):
    """One model."""

    what: Annotated[str, Field(min_length=1)]
    provider: Annotated[str, Field(min_length=1)]
    """Whose setting `model` takes its name."""
    languages: tuple[str, ...]
    licence: Annotated[str, Field(min_length=1)]
    """SPDX name."""
    licence_url: Annotated[str, Field(pattern=r"^https://")]
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]

    @property
    def bytes(self) -> int:
        """Of all files that are fetched; 0 = not known."""
        sizes = [file.bytes for file in self.files]
        return sum(sizes) if all(sizes) else 0


@cache
def known_models() -> Mapping[str, Model]:
    """Return every model by its name."""
    text = _FILE.read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Model]).validate_python(tomllib.loads(text))


def find(name: str) -> Model:
    """Return a model.  Raises UnknownModel."""
    models = known_models()
    if name in models:
        return models[name]
    close = get_close_matches(name, models, n=1)
    guess = f' (did you mean "{close[0]}"?)' if close else ""
    raise UnknownModel(f'there is no model "{name}"{guess}; there are: {", ".join(models)}')
