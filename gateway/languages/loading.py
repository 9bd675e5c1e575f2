"""Language: the files of one folder, read when the language is first used."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from gateway.errors import ConfigError, Problem
from gateway.languages.entries import Texts
from gateway.languages.prompts import Prompts
from gateway.languages.questions import Questions
from gateway.languages.reading import Reading
from gateway.languages.tags import primary
from gateway.languages.turn_words import TurnWords

T = TypeVar("T", bound=Texts)

_FOLDER = Path(__file__).parent
CODES = tuple(sorted(path.parent.name for path in _FOLDER.glob("*/prompts.toml")))
"""Languages that there are texts of."""
_UNKNOWN = "en"
"""Whose texts stand in for a language that has none."""


@dataclass(frozen=True, slots=True)
class Language:
    """Everything that is known of one language."""

    code: str
    prompts: Prompts
    turns: TurnWords
    questions: Questions
    reading: Reading | None
    """None of English: gateway/spoken/english reads it."""


def is_known(tag: str) -> bool:
    """Return whether there are texts of a language (BCP 47, such as "de-AT")."""
    return primary(tag) in CODES


def language(tag: str) -> Language:
    """Return the texts of a language, those of English where there are none.

    Args:
        tag: BCP 47, such as "de-AT"; its primary code counts.

    Raises:
        ConfigError: a file of it is wrong.
    """
    code = primary(tag)
    return _loaded(code if code in CODES else _UNKNOWN)


def read(folder: Path) -> Language:
    """Read the files of a folder.  Raises ConfigError."""
    return Language(
        folder.name,
        _file(folder / "prompts.toml", Prompts),
        _file(folder / "turns.toml", TurnWords),
        _file(folder / "questions.toml", Questions),
        _file(folder / "reading.toml", Reading) if folder.name != _UNKNOWN else None,
    )


@cache
def _loaded(code: str) -> Language:
    return read(_FOLDER / code)


def _file(path: Path, model: type[T]) -> T:
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, "", f"cannot be read: {error}")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), 0, "", str(error))]) from error
    except ValidationError as error:
        raise ConfigError([
            Problem(str(path), 0, ".".join(map(str, fault["loc"])), fault["msg"])
            for fault in error.errors()
        ]) from error  # fmt: skip
