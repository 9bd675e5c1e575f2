"""What became of a caller's turn: answered, begun too early, broken; double talk.  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import numpy as np

from gateway.probe.timeline import Instants, Spurt, spurts

WHOLE_RECALL = 0.8
"""Share of a turn's words that its final text must hold."""
LOST_SHARE = 0.4
"""Share of the words of an unbroken turn, whichever they are: others are recognition's affair."""
MISSED_AFTER_MS = 1000.0
"""A bot that is still heard so long after the caller broke in has missed it."""
_MERGE_NS = 100_000_000
_STILL_NS = 60_000_000
_MISSED_MS = 200.0
_BACK_NS = 1_500_000_000
_EARLY_NS = 200_000_000  # a breath before the first loud sample may be noticed
_ALIKE = 0.6
_NUMBERS = dict(
    zip(
        "zero one two three four five six seven eight nine ten twelve sixteen twenty".split(),  # noqa: SIM905
        "0 1 2 3 4 5 6 7 8 9 10 12 16 20".split(),  # noqa: SIM905
        strict=True,
    )
)
Fate = Literal["clean", "false_start", "cut_off", "unanswered"]


def words(text: str) -> list[str]:
    """Lower-case words, numbers as figures."""
    found = re.findall(r"[a-z0-9']+", text.lower().replace("-", " "))
    return [_NUMBERS.get(word, word) for word in found]


def word_recall(reference: str, heard: str) -> float:
    """Share of the reference's words that were heard, in order; misspelled ones count.

    Recognition of parts spells words differently from recognition of the whole, so two words are
    the same when they share most of their letters.  1 when the reference is empty.
    """
    wanted, got = words(reference), words(heard)
    if not wanted:
        return 1.0
    row = [0] * (len(got) + 1)
    for word in wanted:
        previous = row[:]
        for place, other in enumerate(got, 1):
            row[place] = max(
                previous[place], row[place - 1], previous[place - 1] + _alike(word, other)
            )
    return max(row[-1] / len(wanted), _letter_recall(wanted, got))


def count_recall(reference: str, heard: str) -> float:
    """How many words were heard, whichever they are, as a share of the reference's."""
    return min(1.0, len(words(heard)) / max(len(words(reference)), 1))


def digits_of(text: str) -> str:
    """The digits of a text, spoken or written."""
    spoken = [{"oh": "0", "o": "0"}.get(word, word) for word in words(text)]
    return "".join(character for word in spoken for character in word if character.isdigit())


def digit_recall(reference: str, heard: str) -> float:
    """Share of a number's digits that were heard, in order."""
    wanted, got = digits_of(reference), digits_of(heard)
    matcher = SequenceMatcher(None, wanted, got, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / max(len(wanted), 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bot did about one turn of the caller, as the caller heard it."""

    gap_ms: float | None
    """Last caller sample above the threshold -> first bot sample after it; None = no answer."""
    early: int
    """Stretches of bot speech that began before the caller was done."""
    overlap_ms: float
    """Both talked at once."""
    early_stop_ms: float | None
    """How long the last early stretch was heard after the caller had gone on; None = no overlap."""
    talked_past_end: bool
    """An early stretch was still going on when the caller was done."""


def answer_to(caller: Instants, bot: Instants, limit_ns: int) -> Answer:
    """Judge one turn.

    Args:
        caller: loud instants (ns) of the turn.
        bot: all loud instants of the bot.
        limit_ns: the caller's next turn; what is heard from there on is no answer to this one.
    """
    start, end = int(caller[0]), int(caller[-1])
    heard = spurts(bot, _MERGE_NS)
    early = [s for s in heard if start < s.start_ns < end - _STILL_NS]
    later = [s for s in heard if end - _STILL_NS <= s.start_ns < limit_ns]
    own = spurts(caller, _MERGE_NS)
    past = [s for s in early if s.end_ns > end]
    gap = (later[0].start_ns - end) / 1e6 if later else None
    return Answer(
        gap, len(_whole(early)), overlap_ms(own, heard), _yield_ms(own, early), bool(past)
    )


def _whole(parts: Sequence[Spurt]) -> list[Spurt]:
    """Join stretches with pauses below 300 ms: one start is one sentence."""
    joined: list[Spurt] = []
    for part in parts:
        if joined and part.start_ns - joined[-1].end_ns < 300_000_000:
            joined[-1] = Spurt(joined[-1].start_ns, part.end_ns)
        else:
            joined.append(part)
    return joined


def _yield_ms(caller: Sequence[Spurt], early: Sequence[Spurt]) -> float | None:
    for bot in reversed(_whole(early)):
        resumed = [s.start_ns for s in caller if bot.start_ns < s.start_ns < bot.end_ns]
        began = resumed[0] if resumed else max(bot.start_ns, caller[0].start_ns)
        if overlap_ms(caller, [bot]) > 0:
            return (bot.end_ns - began) / 1e6
    return None


def overlap_ms(one: Sequence[Spurt], other: Sequence[Spurt]) -> float:
    """How long two speakers talked at once."""
    shared = (min(a.end_ns, b.end_ns) - max(a.start_ns, b.start_ns) for a in one for b in other)
    return sum(max(0, span) for span in shared) / 1e6


def fate(answer: Answer, recall: float | None, parts: int) -> Fate:
    """Classify a turn.

    Args:
        answer: as the caller heard it.
        recall: share of the turn's words in its final text (of an unbroken turn: as many words,
            whichever they are); None = not known.
        parts: turns that the gateway made of it (those that were taken back not counted).
    """
    began_early = answer.early > 0
    if answer.gap_ms is None and not began_early:
        return "unanswered"
    if answer.gap_ms is None or answer.talked_past_end:
        return "cut_off"
    split = began_early or parts > 1
    if recall is not None and recall < (WHOLE_RECALL if split else LOST_SHARE):
        return "cut_off"
    return "false_start" if began_early else "clean"


@dataclass(frozen=True, slots=True)
class Interruption:
    """What the bot did when the caller broke in, as the caller heard it."""

    stop_ms: float | None
    """First caller sample -> last bot sample; 0: silent just before; None: long before."""
    final_stop_ms: float | None
    """The same for good: what it says when it comes back within a moment counts."""
    missed: bool
    """It went on, or fell silent and came back, while the caller talked."""
    overlap_ms: float


def interruption(caller: Instants, bot: Instants) -> Interruption:
    """Judge one interruption: loud instants (ns) of the caller's words and all of the bot's."""
    start, end = int(caller[0]), int(caller[-1])
    heard, own = spurts(bot), spurts(caller, _MERGE_NS)
    going_on = [s for s in heard if s.start_ns < start < s.end_ns + _EARLY_NS]
    stop = max(0, going_on[-1].end_ns - start) / 1e6 if going_on else None
    late = Spurt(start + int(MISSED_AFTER_MS * 1e6), max(end, start + int(MISSED_AFTER_MS * 1e6)))
    still = overlap_ms([late], spurts(bot, _MERGE_NS))
    missed = still > _MISSED_MS or (stop is not None and stop > MISSED_AFTER_MS)
    back = [s.end_ns for s in heard if start <= s.start_ns < min(end, start + _BACK_NS)]
    final = max(stop, (max(back) - start) / 1e6) if stop is not None and back else stop
    return Interruption(stop, final, missed, overlap_ms(own, spurts(bot, _MERGE_NS)))


def _alike(one: str, other: str) -> float:
    if one == other:
        return 1.0
    if min(len(one), len(other)) < 3:
        return 0.0
    return float(SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE)


def _letter_recall(wanted: Sequence[str], got: Sequence[str]) -> float:
    """For "de caf" heard as "decaf": letters in common, in runs of three and more."""
    one, other = "".join(wanted), "".join(got)
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= 3) / max(len(one), 1)


def agreement(outside: Sequence[float | None], inside: Sequence[float | None]) -> list[float]:
    """Differences (outside minus inside) where both are known."""
    pairs = zip(outside, inside, strict=True)
    return [float(np.subtract(a, b)) for a, b in pairs if a is not None and b is not None]
