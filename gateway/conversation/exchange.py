"""What a caller turn has said, and what is left of the bot turn that it has cut off.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.conversation.figures import TurnFigures
from gateway.conversation.reply import Outcome, Source, Unfinished
from gateway.providers.contracts import Expect, Typed


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller turn has said."""

    text: str
    choice: str | None
    expected: Expect
    """What the dialogue expected when it was said."""
    onset: int | None = None
    """Audio time at which it began, if it was spoken."""
    typed: Typed = ""
    is_answer: bool = True
    """False when it began before the bot's question was heard."""
    may_go_on: bool = True
    """The caller may still take it up again: then the answer to it is taken back."""

    def means(self, other: Asked) -> bool:
        """True when both say the same, however they are written."""
        mine, its = (self.choice, self.typed), (other.choice, other.typed)
        return _letters(self.text) == _letters(other.text) and mine == its


@dataclass(frozen=True, slots=True)
class Cut:
    """A bot turn that was taken away, and what it takes to begin it again."""

    source: Source
    figures: TurnFigures
    outcome: Outcome
    asked: Asked | None
    is_reopened: bool
    """The caller goes on: the history is as it was before `asked`."""
    unheard: tuple[str, ...]
    """Its pieces that were not heard to their end."""
    is_thought_out: bool
    """Nothing more of it was to come from its source."""
    is_heard: bool
    """Something of it was."""
    has_asked: bool
    """Its question, where it has one, was heard."""

    unfinished: Unfinished | None = None
    """What is still to come from its source; to be closed, or given to another reply."""

    @property
    def has_open_question(self) -> bool:
        """True when it was cut off before its question: no caller can answer that.

        Keys have led there, whether or not anything of it was heard.
        """
        is_known = self.is_heard or (self.asked is not None and bool(self.asked.typed))
        return is_known and self.outcome.expect is not None and not self.has_asked

    @property
    def has_rest(self) -> bool:
        """True when something of it is still to be said or done."""
        return bool(self.unheard or self.outcome.actions or not self.is_thought_out)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
