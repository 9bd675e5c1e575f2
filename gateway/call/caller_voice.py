"""CallerVoice: what is known of the caller's voice in one call, measured and reported.  Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.audio.voice_measures import VoiceMeasures
from gateway.providers.contracts import Trait
from gateway.records.model import TraitRecord, VoiceProfileRecord

_SURE = 0.5
"""Less confidence than this is not told."""
_SLOW, _FAST = 3.3, 5.6
"""Syllables per second by sound, pauses left out."""
_QUIET_DBFS, _LOUD_DBFS = -36.0, -16.0
_LOW_HZ, _HIGH_HZ = 140.0, 185.0
_OFTEN = 0.3
_ABOUT = "About the caller's voice (estimated, may be wrong, not to be mentioned):"
_VALUE = re.compile(r"[^\w .,/()-]+")
_LONGEST_VALUE = 40


@dataclass(slots=True)
class CallerVoice:
    """Grows turn by turn.  What came while recording was paused is used, but not recorded."""

    _turns: list[tuple[VoiceMeasures, bool]] = field(default_factory=list)
    _traits: dict[str, tuple[Trait, bool]] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    """The same for tools, by name: figures and words, as text."""

    def measured(self, turn: VoiceMeasures, *, is_recorded: bool) -> None:
        """Add what was measured of a turn."""
        if turn.speech_s:
            self._turns.append((turn, is_recorded))
            self._update()

    def reported(self, traits: Sequence[Trait], *, is_recorded: bool) -> None:
        """Take what a vendor reports; the latest of each kind counts."""
        for trait in traits:
            value = " ".join(_VALUE.sub(" ", trait.value).split())[:_LONGEST_VALUE]
            if value:
                clean = Trait(trait.kind, value, trait.confidence)
                self._traits[trait.kind] = clean, is_recorded
        self._update()

    def record(self) -> VoiceProfileRecord | None:
        """Return what may be recorded; None = nothing."""
        turns = [turn for turn, is_recorded in self._turns if is_recorded]
        traits = [trait for trait, is_recorded in self._traits.values() if is_recorded]
        return _summed(turns, traits) if turns or traits else None

    def line(self) -> str:
        """Return one line for a language model; empty while nothing is sure enough.

        Its words change seldom: a prompt that stays the same is cheaper.
        """
        found = _summed([turn for turn, _ in self._turns], [])
        parts = list(_words(found)) if found.confidence >= _SURE else []
        parts += [
            f"{trait.kind}: {trait.value}"
            for trait, _ in self._traits.values()
            if trait.confidence is None or trait.confidence >= _SURE
        ]
        if not parts:
            return ""
        return f"{_ABOUT} {', '.join(parts)}."

    def _update(self) -> None:
        found = _summed([turn for turn, _ in self._turns], [t for t, _ in self._traits.values()])
        figures = found.model_dump(exclude={"traits"}, exclude_none=True)
        self.known.clear()
        self.known.update({name: str(value) for name, value in figures.items()})
        self.known.update({trait.kind: trait.value for trait in found.traits})


def _words(found: VoiceProfileRecord) -> list[str]:
    rate, level, hz = found.syllables_per_s, found.level_dbfs, found.pitch_hz
    told = []
    if rate is not None and not _SLOW <= rate <= _FAST:
        told.append("speaks slowly" if rate < _SLOW else "speaks fast")
    if level is not None and not _QUIET_DBFS <= level <= _LOUD_DBFS:
        told.append("quietly" if level < _QUIET_DBFS else "loudly")
    if found.pause_share is not None and found.pause_share > _OFTEN:
        told.append("pauses often")
    if hz is not None and not _LOW_HZ <= hz <= _HIGH_HZ:
        told.append("low pitch" if hz < _LOW_HZ else "high pitch")
    return told


def _summed(turns: Sequence[VoiceMeasures], traits: Sequence[Trait]) -> VoiceProfileRecord:
    speech_s = sum(turn.speech_s for turn in turns)
    voiced_s = sum(turn.voiced_s for turn in turns)
    by_speech = [turn.speech_s for turn in turns]
    by_voice = [turn.voiced_s for turn in turns]

    def mean(name: str, weights: Sequence[float], digits: int) -> float | None:
        known = [(getattr(t, name), w) for t, w in zip(turns, weights, strict=True)]
        known = [(value, weight) for value, weight in known if value is not None and weight]
        total = sum(weight for _, weight in known)
        if not total:
            return None
        return round(float(sum(value * weight for value, weight in known)) / total, digits)

    return VoiceProfileRecord(
        turns=len(turns),
        speech_s=round(speech_s, 2),
        level_dbfs=mean("level_dbfs", by_speech, 1),
        words_per_minute=mean("words_per_minute", by_speech, 1),
        syllables_per_s=mean("syllables_per_s", by_speech, 2),
        pause_share=mean("pause_share", by_speech, 3),
        pitch_hz=mean("pitch_hz", by_voice, 1),
        pitch_low_hz=mean("pitch_low_hz", by_voice, 1),
        pitch_high_hz=mean("pitch_high_hz", by_voice, 1),
        confidence=round(min(voiced_s, 1.0) * min(speech_s / 2, 1.0), 2),
        traits=tuple(
            TraitRecord(kind=trait.kind, value=trait.value, confidence=trait.confidence)
            for trait in traits
        ),
    )
