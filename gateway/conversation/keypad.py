"""Keypad: what keys the caller's next entry is made of, by agent and by what was asked."""

from __future__ import annotations

from gateway.config.models import KeysConfig
from gateway.providers.contracts import Expect
from gateway.turn.digits import DigitCollector, Entry


class Keypad:
    """Gathers keys for one conversation.

    A language model whose requests cost something is asked once per entry, a script once per key:
    its menus answer at once.
    """

    def __init__(self, config: KeysConfig, *, is_costly: bool) -> None:
        self.gathers = is_costly if config.gather == "auto" else config.gather == "entries"
        """Keys are one entry until the caller pauses, unless something else was asked for."""
        self._keys = DigitCollector(
            None if self.gathers else 1, config.terminator, config.pause_ms / 1000
        )

    @property
    def is_open(self) -> bool:
        """True while keys were pressed that are no whole entry yet."""
        return bool(self._keys.digits)

    def expect(self, expect: Expect) -> None:
        """Gather what the dialogue expects."""
        if expect.kind in {"digits", "phone_number"}:
            count = expect.digits
        elif expect.is_guess:  # of a question that speech will answer, most likely
            count = None if self.gathers else 1
        elif expect.kind in {"quantity", "time"}:
            count = None
        elif expect.kind in {"yes_no", "choice"}:
            count = 1
        else:
            count = None if self.gathers else 1
        self._keys.expect(count)

    def is_repeated_end(self, digit: str, now_s: float) -> bool:
        """Return whether a key only ends an entry that was taken already."""
        return self._keys.is_repeated_end(digit, now_s)

    def turn_ended(self) -> None:
        """The caller has said something: what is typed next has to do with that."""
        self._keys.forget_number()

    def press(self, digit: str, now_s: float) -> Entry | None:
        """Accept a key; return the entry when it is complete."""
        return self._keys.press(digit, now_s)

    def advance(self, now_s: float) -> Entry | None:
        """Let time pass; returns the entry when the caller has paused long enough."""
        return self._keys.advance(now_s)
