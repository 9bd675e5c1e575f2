"""BargeIn: one utterance over the bot's voice: does the caller want the floor?  Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gateway.audio.voice_chunk import CHUNK_SAMPLES, Chunk
from gateway.config.models import BargeInConfig
from gateway.languages import language
from gateway.languages.turn_words import TurnWords
from gateway.turn.barge_in_scene import Scene
from gateway.turn.barge_in_words import Aside, Meaning, is_echo, may_be_hum, meaning, words_of
from gateway.turn.events import BargeInConfirmed, BargeInRejected, samples

_ENGLISH = language("en").turns
Verdict = BargeInConfirmed | BargeInRejected

_FRAME = samples(20)
_STOPPED = samples(96)
"""Silence after which the speech has stopped, or a blip is over."""
_MAY_BEGIN, _MAY_BEGIN_AGAIN = samples(200), samples(160)
"""What has lasted no longer may be the "s" of "stop", which a closed "t" follows: it is not
rejected before that silence.  Else the bot comes back within the word and stops again."""
_RESAMPLING = samples(30)
"""What a resampler may hold back of the audio that a transcript covers."""
_FIRST_ASKS = (samples(140), samples(250), samples(400), samples(560))
"""After the suspicion; answers take 50 to 150 ms.  The first two must be there for the verdict, the
others for what was rejected and goes on (`LASTS`)."""
_LATER_ASKS = samples(400)
"""Between asks while the speech goes on after a rejection."""
_LATE = samples(1200)
"""Time after the speech at which a transcript is no longer waited for; a "stop" that
a busy recognizer tells late still counts."""
_WORDS_LOG_PROB = -0.8
"""Noise that recognition makes words of is mostly below, speech seldom."""
_NOD_LOG_PROB = -0.6
"""A nod must be understood well: "Yeah" is also what is made of a "wait" in noise."""
LASTS = samples(400)
"""How long a nod or a sound may outlast the verdict before the bot talks over it.  Of the
beginnings of sentences in noise of 10 dB, 18 % sound like a nod or like nothing after 0.3 s,
6 % after 0.5 s, none after 0.7 s."""
_HUM = samples(1300)
"""How long to wait for the end of what sounds like a hum: only then "mm-hmm" can be told apart.
The bot is silent meanwhile: waiting costs nothing, an error costs the reply."""
_HUM_GAP = samples(220)
"""Between "mm" and "hmm" it may be silent for less."""
_TAKES_UP = samples(160)
"""Sure speech of this length before the reply is heard resumes the turn, whatever its words."""
_LONE_WORD = samples(480)
"""Lone speech of this length that is no nod goes on: the caller does not stop after it."""
_GOES_ON = samples(1200)
"""Speech that lasts this long after a rejection wants the floor."""
_CERTAIN = 0.8
"""Mean speech probability that needs no words."""
_LIKELY = 0.65
"""Mean speech probability that needs some, understood or not: crying stays below, callers at 5 dB
above noise are over it in 97 %."""
_POSSIBLE = 0.5
"""Mean speech probability that a command or an awaited answer needs."""

_ENGLISH = language("en").turns


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    choice: str | None
    covers: int
    log_prob: float | None
    aside: Aside | None


class BargeIn:
    """From the suspicion to the end of the utterance or its confirmation."""

    def __init__(
        self, config: BargeInConfig, onset: int, now: int, words: TurnWords = _ENGLISH
    ) -> None:
        self._known = words
        self.onset = onset
        self.rejected: BargeInRejected | None = None
        """The first verdict, if it was that."""
        self._due = now + samples(config.verdict_ms)
        self._asks = deque(now + after for after in _FIRST_ASKS)
        self._asked_at: int | None = None
        self._words: _Words | None = None
        self._speech_end = onset + CHUNK_SAMPLES
        self._is_real = False
        self._has_stopped = False
        self._probabilities: list[float] = []
        self._now = now
        self._hums = False
        """What was understood may be the beginning of a hum."""

    @property
    def speech_end(self) -> int:
        """End of the latest speech."""
        return self._speech_end

    def hear(self, chunk: Chunk, *, is_speech: bool, is_real: bool, is_sound: bool) -> None:
        """Accept a chunk.

        Args:
            chunk: what the voice detector says.
            is_speech: it continues the speech.
            is_real: the caller is speaking, by the rule for turns.
            is_sound: it is at least some sound: while it lasts, speech may come of it.
        """
        self._is_real = self._is_real or is_real
        if is_speech or (is_sound and not self._is_real):
            self._speech_end = chunk.end
            self._has_stopped = False
        if is_speech:
            self._probabilities.append(chunk.probability)
        elif chunk.end - self._speech_end >= _STOPPED and not self._has_stopped:
            self._has_stopped = True
            self._asks = deque([chunk.end])

    def transcript(
        self,
        text: str,
        choice: str | None,
        covers: int,
        log_prob: float | None,
        aside: Aside | None = None,
    ) -> None:
        """Accept what was said so far; older news than known, or of before, are left alone."""
        if covers > max(self.onset, self._words.covers if self._words else 0):
            listed = words_of(text)
            self._hums = self._hums or may_be_hum(listed, self._known)
            self._words = _Words(text, choice, covers, log_prob, aside)

    def wants_transcript(self, now: int) -> bool:
        """Return whether to ask now what was said; once per moment that is worth it."""
        if not self._is_real or not self._asks or now < self._asks[0]:
            return False
        self._asks.popleft()
        self._asked_at = now
        if not self._asks and not self._has_stopped:
            self._asks.append(now + _LATER_ASKS)
        return True

    def decide(self, now: int, scene: Scene, *, bot_is_done: bool) -> Verdict | None:
        """Return the verdict, once there is one; after a rejection only a confirmation.

        A bot that has given up the floor meanwhile leaves it to the speaking caller.
        """
        self._now = now
        is_first = self.rejected is None
        is_due = is_first and now + _FRAME > self._due
        evidence = self._wants_floor(scene, is_final=is_due or self._is_complete)
        evidence = evidence or self._sounds_like_it(scene, is_due=is_due)
        if bot_is_done and self._is_real and (is_first or not self._has_stopped):
            evidence = evidence or "goes_on"
        if evidence is not None:
            return BargeInConfirmed(now, self.onset, evidence, self._text)
        if not is_first:
            return None
        reason = (
            None if self._may_begin(now, is_due=is_due) else self._is_nothing(scene, is_due=is_due)
        )
        if reason is None:
            return None
        self.rejected = BargeInRejected(now, self.onset, reason, self._text)
        return self.rejected

    def is_over(self, now: int) -> bool:
        """Return whether a rejected utterance is done with: nothing more can come of it."""
        if self.rejected is None:
            return False
        if not self._is_real:
            return True
        is_late = now - self._speech_end >= _STOPPED + _LATE
        return self._has_stopped and (self._is_complete or is_late)

    @property
    def _text(self) -> str:
        return self._words.text if self._words is not None else ""

    @property
    def _is_complete(self) -> bool:
        """The speech has stopped, and what was said is known."""
        words = self._words
        known = words is not None and words.covers >= self._speech_end - _RESAMPLING
        return self._has_stopped and known

    def _wants_floor(self, scene: Scene, *, is_final: bool) -> str | None:
        """Judge the words, once they are final: half of an "okay" is heard as "no"."""
        words = self._words
        found = self._meaning
        if words is None or found == "nothing" or not self._is_real:
            return None
        listed = words_of(words.text)
        if words.choice is not None:
            return "words"
        is_doubtful = found == "words" and self._may_hum(scene)
        if is_doubtful or (not scene.asks and is_echo(listed, scene.bot_words, self._known)):
            return None
        is_likely = found == "command" or scene.asks
        if self._voice < (_POSSIBLE if is_likely else _LIKELY):
            return None
        is_long = self._voice >= _CERTAIN and self._speech_end - self.onset >= _LONE_WORD
        goes_on = scene.is_fresh and len(listed) > 1
        if not (is_final or is_long or goes_on):
            return None
        return _wanted(found, scene, is_final=is_final)

    def _may_hum(self, scene: Scene) -> bool:
        """Return whether to wait for its end: after a question, or early, a nod counts anyway."""
        is_over = self._is_complete and self._now - self._speech_end >= _HUM_GAP
        is_open = not is_over and self._speech_end - self.onset < _HUM
        is_first = self.rejected is None
        return is_first and self._hums and is_open and not (scene.asks or scene.is_fresh)

    def _sounds_like_it(self, scene: Scene, *, is_due: bool) -> str | None:
        """Judge without words: speech that goes on and on."""
        if not self._is_real or self._has_stopped:
            return None
        spoken = self._speech_end - self.onset
        is_sure = spoken >= _TAKES_UP and self._voice >= _CERTAIN
        if scene.is_fresh and not scene.is_audible and is_sure:
            return "resumes"
        if self._is_nod_or_echo(scene) or self._may_hum(scene):
            return None
        needed = _LIKELY if self._words is None or self._text else _CERTAIN
        if is_due and self._voice >= needed:
            return "resumes" if scene.is_fresh else "goes_on"
        return "goes_on" if spoken >= _GOES_ON else None

    def _may_begin(self, now: int, *, is_due: bool) -> bool:
        """Return whether so little was heard, and so lately, that a word may come of it."""
        is_short = self._speech_end - self.onset <= _MAY_BEGIN
        return is_short and not is_due and now - self._speech_end < _MAY_BEGIN_AGAIN

    def _is_nothing(self, scene: Scene, *, is_due: bool) -> str | None:
        if not self._is_real:
            return "noise" if is_due or self._has_stopped else None
        if self._may_hum(scene) or not (is_due or self._is_complete):
            return None
        if self._is_nod_or_echo(scene):
            echo = is_echo(words_of(self._text), scene.bot_words, self._known)
            return "echo" if echo else "backchannel"
        return "no_words"

    @property
    def _voice(self) -> float:
        """Mean speech probability of the speech."""
        heard = self._probabilities
        return sum(heard) / len(heard) if heard else 0.0

    @property
    def _meaning(self) -> Meaning:
        """What the words mean, as far as they are to be trusted."""
        words = self._words
        if words is None:
            return "nothing"
        found = meaning(words_of(words.text), self._known)
        if words.aside is not None and found != "command":
            return words.aside
        log_prob = 0.0 if words.log_prob is None else words.log_prob
        if found in {"words", "command"}:
            is_sure = log_prob >= _WORDS_LOG_PROB or self._voice >= _CERTAIN
            return found if is_sure else "nothing"
        is_doubtful = self._has_stopped and log_prob < _NOD_LOG_PROB and self._voice >= _CERTAIN
        is_first = self.rejected is None
        return "words" if found != "nothing" and is_doubtful and is_first else found

    def _is_nod_or_echo(self, scene: Scene) -> bool:
        if self._words is None or self._meaning == "nothing":
            return False
        if self._meaning == "filler":
            return self._has_stopped  # who goes on after "well" wants the floor
        if self._meaning == "backchannel":
            return True
        return is_echo(words_of(self._text), scene.bot_words, self._known)


def _wanted(found: Meaning, scene: Scene, *, is_final: bool) -> str | None:
    """Return why words of this meaning take the floor, if they do."""
    if found == "command":
        return "command"
    if scene.is_fresh and (found != "backchannel" or not scene.is_audible):
        return "resumes"
    if found == "words" or (scene.asks and is_final):
        return "words"
    return None
