"""One TOML file: its text, its values with `${ENV}` filled in, and where each key is written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.files import ConfigFiles
from gateway.config.locate import KeyPath, locate
from gateway.errors import ConfigError, Problem

_REFERENCE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\})?")
_POSITION = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_SYNTAX_HINTS = {
    "Cannot overwrite a value": "this key has a value already, on a line above",
    "Cannot declare": "this table is written already, on a line above",
    "Invalid value": (
        'a value is expected here: text needs quotes ("..."), true and false are lower case'
    ),
    "Invalid initial character for a key part": "a key is expected here",
}
"""Beginning of what the parser says -> the same for operators."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed file."""

    name: str
    """As the user named it."""
    folder: Path
    """Where its relative paths start."""
    text: str
    table: dict[str, Any]
    problems: dict[KeyPath, str] = field(default_factory=dict)
    """References to the environment that could not be filled in."""
    filled_in: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Value from the environment -> the reference that stands for it."""
    written: Mapping[KeyPath, KeyPath] = field(default_factory=dict)
    """Renamed key -> the old name that the file has for it."""

    def problem(self, loc: KeyPath, text: str) -> Problem:
        """Describe a key's problem with its line, without values from the environment."""
        for value, reference in self.filled_in.items():
            text = text.replace(value, reference)
        loc = (*self.written.get(loc[:2], loc[:2]), *loc[2:])
        return Problem(self.name, locate(self.text, loc), dotted(loc), text)


def read_toml(
    path: Path, name: str, environ: Mapping[str, str], files: ConfigFiles | None = None
) -> TomlFile:
    """Read and parse a file and fill in its `${NAME}` and `${NAME:-default}` references.

    Only string values are filled; `$${` stands for a plain `${`.

    Args:
        path: the file.
        name: what to call it in problems.
        environ: where the names are looked up.
        files: where texts come from; None = the disk.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8 or not TOML.
    """
    text = _read(path, name, files or ConfigFiles())
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(name, text, str(error))]) from error
    except RecursionError as error:
        raise ConfigError([Problem(name, 0, "", "nested too deeply")]) from error
    except ValueError as error:
        raise ConfigError([Problem(name, 0, "", "a number has too many digits")]) from error
    problems: dict[KeyPath, str] = {}
    filled = {key: _fill(value, (key,), environ, problems) for key, value in table.items()}
    return TomlFile(name, path.absolute().parent, text, filled, problems, _filled_in(text, environ))


def dotted(loc: KeyPath) -> str:
    """Write a key path as TOML would, with quotes where a name needs them."""
    return ".".join(
        str(part) if isinstance(part, int) or _BARE_KEY.fullmatch(part) else f'"{part}"'
        for part in loc
    )


def _read(path: Path, name: str, files: ConfigFiles) -> str:
    data = b""
    try:
        data = files.read(path)
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise ConfigError([Problem(name, 0, "", "no such file")]) from error
    except IsADirectoryError as error:
        raise ConfigError([Problem(name, 0, "", "is a folder, not a file")]) from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(name, line, "", "is not UTF-8 text")]) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError([Problem(name, 0, "", f"cannot be read: {why}")]) from error


def _syntax_problem(name: str, text: str, message: str) -> Problem:
    position = _POSITION.search(message)
    hints = (hint for says, hint in _SYNTAX_HINTS.items() if message.startswith(says))
    if position is None:
        return Problem(name, 0, "", message)
    line = int(position["line"]) if position["line"] else text.rstrip("\n").count("\n") + 1
    return Problem(name, line, "", next(hints, message[: position.start()]))


def _fill(
    value: object, loc: KeyPath, environ: Mapping[str, str], problems: dict[KeyPath, str]
) -> object:
    if isinstance(value, dict):
        return {key: _fill(item, (*loc, key), environ, problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, (*loc, n), environ, problems) for n, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    for fault in _reference_faults(value, environ):
        problems.setdefault(loc, fault)
    return _REFERENCE.sub(lambda match: _replacement(match, environ), value)


def _filled_in(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Find what came from the environment, the longest first; a letter or two would be anywhere."""
    names = {match["name"] for match in _REFERENCE.finditer(text) if match["name"]}
    values = {environ[name]: f"${{{name}}}" for name in names if len(environ.get(name, "")) > 3}
    return dict(sorted(values.items(), key=lambda item: -len(item[0])))


def _reference_faults(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    for match in _REFERENCE.finditer(text):
        name = match["name"]
        if match[0] == "${":
            yield 'write ${NAME} or ${NAME:-default}; "$${" stands for a plain "${"'
        elif name and match["default"] is None and name not in environ:
            yield (
                f"environment variable {name} is not set: export it before the gateway starts, or"
                f" write ${{{name}:-}} where it may be empty"
            )


def _replacement(match: re.Match[str], environ: Mapping[str, str]) -> str:
    name, default = match["name"], match["default"]
    if name is None:
        return "${"
    if default is None:
        return environ.get(name, "")
    return environ.get(name) or default
