"""Takes personal data out of what is said before any of it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from gateway.errors import BadReference, ConfigError, Problem
from gateway.records.model import ToolUse, TurnRecord, with_texts
from gateway.references import load_function

log = structlog.get_logger(__name__)

Redact = Callable[[str], str]

FAILED = "[redacted]"
"""Stands for a text whose redaction failed."""
NUMBER = "[number]"
MIN_DIGITS = 7
"""Telephone, card and account numbers are longer than prices, dates of the year and times."""
_KEPT_TEXTS = 2048

_SPOKEN = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|"
    "fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|"
    "ninety|hundred|thousand|double|triple"
)
# One digit at a time: two ways to read a run of digits would take for ever to rule out.
_UNIT = rf"(?:\d|\b(?:{_SPOKEN})\b)"
_RUN = re.compile(rf"\+?\(?{_UNIT}(?:[\s,.()/\u2010-\u2015-]*{_UNIT})*", re.I)
_WORDS = re.compile(r"\d|[a-z]+", re.I)


def numbers(text: str) -> str:
    """Replace every number of seven digits or more, written or spoken in English.

    For `[records] redact = "gateway.records.redaction:numbers"`.  It finds telephone, card and
    account numbers; names, addresses and other languages' number words it does not.
    """
    return _RUN.sub(_shorter_stays, text)


def _shorter_stays(found: re.Match[str]) -> str:
    return NUMBER if len(_WORDS.findall(found[0])) >= MIN_DIGITS else found[0]


class Redactor:
    """Runs a hook over texts; where it fails, the whole text is left out.  Loop thread only."""

    def __init__(self, hook: Redact, on_failure: Callable[[], None] = lambda: None) -> None:
        """Redact with this function.

        Args:
            hook: gets every text, returns what may be kept; called on the event loop, so it must
                be quick (a millisecond).
            on_failure: called each time the hook fails.
        """
        self._hook = hook
        self._on_failure = on_failure
        self._has_failed = False
        self._known = lru_cache(_KEPT_TEXTS)(self._redacted)

    def text(self, text: str) -> str:
        """Redact one text."""
        return self._known(text) if text else text

    def data(self, data: dict[str, Any]) -> dict[str, Any]:
        """Redact every text of an event at any depth; single keys too, they are typed numbers."""
        kept = {key: with_texts(value, self.text) for key, value in data.items()}
        for key in ("digit", "digits"):
            if isinstance(data.get(key), str):
                kept[key] = "*" * len(data[key])
        return kept

    def turn(self, turn: TurnRecord) -> TurnRecord:
        """Redact what was said in a turn, and what its tools were told and gave."""
        update: dict[str, object] = {"tools": tuple(map(self.tool_use, turn.tools))}
        update["fillers"] = tuple(map(self.text, turn.fillers))
        for key in ("caller_text", "bot_text_generated", "bot_text_heard", "error"):
            said = getattr(turn, key)
            update[key] = said and self.text(said)
        return turn.model_copy(update=update)

    def tool_use(self, use: ToolUse) -> ToolUse:
        """Redact what a tool was told and gave."""
        update = {"arguments": self.text(use.arguments), "result": self.text(use.result)}
        return use.model_copy(update=update)

    def _redacted(self, text: str) -> str:
        try:
            kept: object = self._hook(text)
        except Exception as error:  # noqa: BLE001 - border to user code
            return self._failed(type(error).__name__)
        return kept if isinstance(kept, str) else self._failed(f"gave {type(kept).__name__}")

    def _failed(self, problem: str) -> str:
        """Count it.  The error's own words are left out: they may quote the text."""
        self._on_failure()
        if not self._has_failed:
            self._has_failed = True
            log.error("redaction_failed", problem=problem, instead=FAILED)
        return FAILED


def load_redactor(
    reference: str, folder: Path, on_failure: Callable[[], None] = lambda: None
) -> Redactor | None:
    """Load `records.redact`; None when it is empty.

    Args:
        reference: `package.module:function` or `path/to/file.py:function`.
        folder: what paths are relative to.
        on_failure: see `Redactor`.

    Raises:
        ConfigError: there is no such function.
    """
    if not reference:
        return None
    try:
        return Redactor(load_function(reference, folder), on_failure)
    except BadReference as error:
        problem = Problem("[records]", 0, "records.redact", str(error))
        raise ConfigError([problem]) from error
