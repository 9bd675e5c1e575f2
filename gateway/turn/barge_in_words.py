"""What words over the bot's voice mean: a command, a nod, a filler, the bot's own echo?  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal

Meaning = Literal["nothing", "filler", "backchannel", "command", "words"]
Aside = Literal["backchannel", "command"]

NODS = "uh-huh|mm-hmm|amen|yeah|okay|right|I see"
COMMANDS = "wait|stop|no|hold on|hello|what"
ASIDES: dict[str, Aside] = {NODS: "backchannel", COMMANDS: "command"}
"""What a short utterance over the bot's voice may well be, for recognition to tell by its sound:
as free text, "mm-hmm" becomes "Amen"."""
_NODS = frozenset(
    """uhhuh uhuh mmhmm mhm mhmm mm mmm hm hmm hmmm huh aha ah ahh oh ooh yeah yea yep yup yes ya
    okay ok kay right sure alright great good fine cool nice perfect exactly true gotcha thanks
    """.split()  # noqa: SIM905
)
_NOD_PHRASES = tuple(
    phrase.split()
    for phrase in (
        "uh huh",
        "mm hmm",
        "mm hm",
        "m hmm",
        "um hum",
        "all right",
        "i see",
        "i know",
        "got it",
        "thank you",
        "of course",
        "sounds good",
        "that's right",
        "makes sense",
        "very good",
    )
)
_FILLERS = frozenset("um uh er erm eh and so well but like".split())  # noqa: SIM905
_HUMS = frozenset("m h n em amen ahem".split())  # noqa: SIM905
"""What recognition makes of a hum, and no caller says alone over the bot's voice."""
_HUMMED = _HUMS | frozenset("and an in i im am then mean men man".split())  # noqa: SIM905
"""What the first half of a hum becomes ("and then" of "mm-h"), and also begins sentences."""
_COMMANDS = frozenset(
    """wait stop no nope hold hello hey listen pardon sorry cancel operator agent representative
    help quiet silence enough repeat actually what""".split()  # noqa: SIM905
)
_COMMAND_PHRASES = tuple(
    phrase.split()
    for phrase in ("excuse me", "hang on", "one moment", "just a", "shut up", "never mind")
)
_PHANTOM = ["you"]
"""What recognition makes of a sound, rather than all that a caller says."""
_WORD = re.compile(r"[\w']+")
_ECHO_SHARE = 0.7
"""Share of the caller's words in the bot's order that makes an echo: recognition of echoes errs."""


def words_of(text: str) -> list[str]:
    """Split a transcript; "uh-huh" is one word."""
    return _WORD.findall(text.lower().replace("-", "").replace("\u2019", "'"))


def meaning(words: Sequence[str]) -> Meaning:
    """Return what the caller means by words over the bot's voice.

    Nods and fillers at the start count for nothing when more follows.
    """
    if not words or list(words) == _PHANTOM:
        return "nothing"
    at = 0
    nods = False
    while at < len(words):
        step = _nod_length(words[at:])
        step = step or words[at] in _HUMS
        if not step and words[at] not in _FILLERS:
            break
        nods = nods or bool(step)
        at += step or 1
    rest = words[at:]
    if not rest:
        return "backchannel" if nods else "filler"
    return "command" if _is_command(rest) else "words"


def may_be_hum(words: Sequence[str]) -> bool:
    """Return whether the words so far may be all that recognition understands of "mm-hmm"."""
    is_whole = all(word in _HUMMED | _FILLERS | _NODS for word in words)
    return is_whole and any(word in _HUMMED for word in words)


def is_echo(words: Sequence[str], bot_words: Sequence[str]) -> bool:
    """Return whether the words are what the bot has just said, in its order.

    Two words must be alike; of more, some may be misheard.  A single one-word command is never
    an echo: it must always interrupt.
    """
    count = len(words)
    if not count or (count == 1 and _is_command(words)):
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


def _nod_length(words: Sequence[str]) -> int:
    if words[0] in _NODS:
        return 1
    starts = (len(p) for p in _NOD_PHRASES if list(words[: len(p)]) == p)
    return max(starts, default=0)


def _is_command(words: Sequence[str]) -> bool:
    return words[0] in _COMMANDS or any(list(words[: len(p)]) == p for p in _COMMAND_PHRASES)
