"""Read a script file.  The only place where scripts meet the disk."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config.locate import locate
from gateway.errors import ConfigError, Problem
from gateway.script.lint import faults
from gateway.script.model import Flow, Intent, Main, Menu, Option, Part, Script, Slot, Step
from gateway.wording import plain

_PARTS: tuple[type[Part], ...] = (Script, Main, Intent, Slot, Menu, Option, Flow, Step)
_KEYS = sorted({name for part in _PARTS for name in part.model_fields})
_TOML_LINE = re.compile(r"\(at line (\d+), column \d+\)")

FRONT_DESK = Path(__file__).parent / "examples" / "front_desk.toml"
"""The script that is used when none is named."""


def load_script(path: Path) -> Script:
    """Read and check a script.

    Raises:
        ConfigError: every fault of the file, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([Problem(str(path), 0, "", f"cannot be read: {exc}")]) from exc
    return parse_script(text, str(path))


def parse_script(text: str, path: str) -> Script:
    """Check the text of a script; `path` is only named in problems.

    Raises:
        ConfigError: every fault of the text, each with its line.
    """
    try:
        script = Script.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        place = _TOML_LINE.search(str(exc))
        raise ConfigError([Problem(path, int(place[1]) if place else 0, "", str(exc))]) from exc
    except ValidationError as exc:
        found = [(error["loc"], _explain(error)) for error in exc.errors(include_url=False)]
        raise ConfigError([_problem(text, path, loc, said) for loc, said in found]) from exc
    if problems := [_problem(text, path, loc, said) for loc, said in faults(script)]:
        raise ConfigError(problems)
    return script


def _problem(text: str, path: str, loc: tuple[str | int, ...], said: str) -> Problem:
    return Problem(path, locate(text, loc), ".".join(map(str, loc)), said)


def _explain(error: ErrorDetails) -> str:
    if error["type"] != "extra_forbidden":
        return plain(error)
    near = difflib.get_close_matches(str(error["loc"][-1]), _KEYS, n=1)
    return plain(error) + (f' (did you mean "{near[0]}"?)' if near else "")
