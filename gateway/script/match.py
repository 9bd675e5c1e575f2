"""Which intent a sentence means: scores that can be explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.script.model import Intent
from gateway.script.words import find, likeness, vocabulary, words

_FILLERS = vocabulary(
    "a an the is are am be do does i you we me my your our it to of in on at for with and or "
    "please can could would like want need have get will just so well um uh hi hello hey there "
    "some that this what okay yes yeah thanks thank let us"
)
_FILLER_WEIGHT = 0.25


@dataclass(frozen=True, slots=True)
class Match:
    """An intent and how well the sentence fits it."""

    intent: str
    score: float
    """0 to 1."""
    why: str

    def __str__(self) -> str:
        return f"{self.intent} {self.score:.2f} ({self.why})"


def best_intent(
    intents: Mapping[str, Intent], text: str, mentioned: frozenset[str]
) -> Match | None:
    """Find the intent that fits best; among equals the first in the file.

    Args:
        intents: those to choose from.
        text: what the caller said, or the key that was pressed.
        mentioned: slots for which the sentence holds a value.
    """
    best: Match | None = None
    for name, intent in intents.items():
        score, why = _score(intent, text, mentioned)
        if score > (best.score if best else 0.0):
            best = Match(name, score, why)
    return best


def _score(intent: Intent, text: str, mentioned: frozenset[str]) -> tuple[float, str]:
    if intent.key is not None and text.strip().rstrip(".") == intent.key:
        return 1.0, f"key {intent.key}"
    heard = words(text)
    if not heard or any(_has(heard, phrase) for phrase in intent.none):
        return 0.0, ""
    if not all(_has(heard, phrase) for phrase in intent.all):
        return 0.0, ""
    if intent.any and not any(_has(heard, phrase) for phrase in intent.any):
        return 0.0, ""
    scores = [
        (_phrase_score(words(phrase), heard), f"phrase {phrase!r}") for phrase in intent.phrases
    ]
    if intent.label:
        scores.append((_phrase_score(words(intent.label), heard), f"label {intent.label!r}"))
    if found := [phrase for phrase in intent.keywords if _has(heard, phrase)]:
        scores.append((_keyword_score(found, heard), f"keywords {', '.join(found)}"))
    if intent.all or intent.any:
        scores.append((0.8, "all/any keywords"))
    if told := [slot for slot in intent.mentions if slot in mentioned]:
        scores.append((0.75, f"mentions {', '.join(told)}"))
    return max(scores, default=(0.0, ""), key=lambda scored: scored[0])


def _has(heard: tuple[str, ...], phrase: str) -> bool:
    return find(words(phrase), heard) >= 0


def _weight(word: str) -> float:
    return _FILLER_WEIGHT if word in _FILLERS else 1.0


def _keyword_score(found: list[str], heard: tuple[str, ...]) -> float:
    """From 0.7 for one keyword in a long sentence to 0.95 for keywords and nothing else."""
    named = [word for phrase in found for word in words(phrase)]
    covered = sum(_weight(w) for w in heard if any(likeness(w, n) > 0 for n in named))
    share = covered / sum(map(_weight, heard))
    return min(0.95, 0.65 + 0.05 * len(found) + 0.25 * share)


def _phrase_score(phrase: tuple[str, ...], heard: tuple[str, ...]) -> float:
    """Weigh how much of the phrase was heard, in order, and how much else was said."""
    if not phrase:
        return 0.0
    if phrase == heard:
        return 1.0
    at, hit_phrase, hit_heard = 0, 0.0, 0.0
    for word in phrase:
        scored = [
            (likeness(h, word), -i) for i, h in enumerate(heard[at:], at) if likeness(h, word)
        ]
        if scored:
            alike, place = scored[0]
            hit_phrase += alike * _weight(word)
            hit_heard += alike * _weight(word)
            at = 1 - place
    recall = hit_phrase / sum(map(_weight, phrase))
    precision = min(1.0, hit_heard / sum(map(_weight, heard)))
    content = any(word not in _FILLERS for word in phrase)
    return (0.75 * recall + 0.25 * precision) * (1.0 if content or recall == 1 else 0.5)
