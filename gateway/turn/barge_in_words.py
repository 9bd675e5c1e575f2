"""What words over the bot's voice mean: a command, a nod, a filler, the bot's own echo?  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal

from gateway.languages import language
from gateway.languages.turn_words import TurnWords
from gateway.turn.events import EagerEnd, TurnDiscarded, TurnEnded, TurnEvent

Meaning = Literal["nothing", "filler", "backchannel", "command", "words"]
Aside = Literal["backchannel", "command"]

_ENGLISH = language("en").turns
_WORD = re.compile(r"[\w']+")
_ECHO_SHARE = 0.7
"""Share of the caller's words in the bot's order that makes an echo: recognition of echoes errs."""


def asides_of(known: TurnWords) -> dict[str, Aside]:
    """Return what a short utterance over the bot's voice may well be, and what it means then.

    For recognition to tell by its sound: as free text, "mm-hmm" becomes "Amen".
    """
    nods, commands = "|".join(known.heard_nods), "|".join(known.heard_commands)
    found: dict[str, Aside] = {nods: "backchannel", commands: "command"}
    return {phrases: aside for phrases, aside in found.items() if phrases}


def words_of(text: str) -> list[str]:
    """Split a transcript; "uh-huh" is one word."""
    return _WORD.findall(text.lower().replace("-", "").replace("\u2019", "'"))


def meaning(words: Sequence[str], known: TurnWords = _ENGLISH) -> Meaning:
    """Return what the caller means by words over the bot's voice.

    Nods and fillers at the start count for nothing when more follows.
    """
    if not words or list(words) in known.split_phantoms:
        return "nothing"
    at = 0
    nods = False
    while at < len(words):
        step = _nod_length(words[at:], known)
        step = step or words[at] in known.hums
        if not step and words[at] not in known.fillers:
            break
        nods = nods or bool(step)
        at += step or 1
    rest = words[at:]
    if not rest:
        return "backchannel" if nods else "filler"
    return "command" if _is_command(rest, known) else "words"


def may_be_hum(words: Sequence[str], known: TurnWords = _ENGLISH) -> bool:
    """Return whether the words so far may be all that recognition understands of "mm-hmm"."""
    is_whole = all(word in known.may_be_hummed | known.fillers | known.nods for word in words)
    return is_whole and any(word in known.may_be_hummed for word in words)


def is_echo(words: Sequence[str], bot_words: Sequence[str], known: TurnWords = _ENGLISH) -> bool:
    """Return whether the words are what the bot has just said, in its order.

    Two words must be alike; of more, some may be misheard.  A single one-word command is never
    an echo: it must always interrupt.
    """
    count = len(words)
    if not count or (count == 1 and _is_command(words, known)):
        return False
    needed = count if count <= 2 else int(count * _ECHO_SHARE + 0.999)
    slack = 0 if count <= 2 else 2
    matcher = SequenceMatcher(None, autojunk=False)
    matcher.set_seq2(list(words))
    for at in range(max(1, len(bot_words) - count - slack + 1)):
        matcher.set_seq1(bot_words[at : at + count + slack])
        if sum(block.size for block in matcher.get_matching_blocks()) >= needed:
            return True
    return False


def _nod_length(words: Sequence[str], known: TurnWords) -> int:
    if words[0] in known.nods:
        return 1
    starts = (len(p) for p in known.split_nods if list(words[: len(p)]) == p)
    return max(starts, default=0)


def _is_command(words: Sequence[str], known: TurnWords) -> bool:
    phrases = known.split_commands
    return words[0] in known.commands or any(list(words[: len(p)]) == p for p in phrases)


def unless_nod(event: TurnEvent, aside: Aside | None, known: TurnWords) -> TurnEvent | None:
    """Discard a turn that was only "uh-huh": the bot was cut in error."""
    if not isinstance(event, EagerEnd | TurnEnded) or event.choice is not None:
        return event
    if (aside or meaning(words_of(event.text), known)) != "backchannel":
        return event
    if isinstance(event, EagerEnd):
        return None
    return TurnDiscarded(event.now, event.onset, "backchannel")
