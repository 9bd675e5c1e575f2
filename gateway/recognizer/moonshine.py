"""Moonshine tiny-en (MIT) on onnxruntime: greedy decoding, forced choice, dictation.

The model files come out of the `moonshine-voice` 0.1.0 wheel; none of its code is imported.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.audio.format import NARROWBAND, SAMPLE_BYTES
from gateway.audio.resample import resample_floats
from gateway.errors import ProviderUnavailable
from gateway.installing import pip_install
from gateway.recognizer.beam import Hypothesis, best_of, extend
from gateway.recognizer.grammar import GRAMMARS, Grammar, GrammarName
from gateway.recognizer.model_files import check_model
from gateway.recognizer.onnx import session
from gateway.recognizer.tokens import BEGIN, END, Vocabulary

SOURCE_HZ = NARROWBAND.sample_rate_hz
MODEL_HZ = 16000
INSTALL = pip_install("moonshine-voice==0.1.0")
_FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")
_TAIL_S = 0.5
"""Silence appended to a segment: without it the last word is often lost."""
_TOKENS_PER_S = 6.5
"""Above the fastest speech; a decoder that exceeds it repeats itself."""
_SHORTEST_S = 0.1
_LAYERS, _HEADS, _HEAD_SIZE = 6, 8, 36
_PAST = [
    f"{n}.{side}.{part}"
    for n in range(_LAYERS)
    for side in ("decoder", "encoder")
    for part in ("key", "value")
]
_CHOICE_LEAD = 1.5
"""Natural-log odds that the best phrase must have over the second."""
_FORMS_LEAD = 2.5
"""The same where each choice is a group of phrases (`yeah|okay`).  Synthetic "wait", "stop" and the
like at 10 dB SNR, taken for a nod: 1 of 27; at 1.5: 5."""
_CHOICE_LOSS = 5.0
"""Natural-log odds that it may always lose to free text: spoken digits lose 0 (p50) to 5.8 (p95),
whole sentences that are none of the phrases 8 (p5) to 17 (p50).  It may lose more when it leads
the second by that much ("leave the message" instead of "leave a message")."""
_BEAM = 4
"""Hypotheses of a dictation.  Wrong digits of 30 recorded numbers with pauses: 3.9 % (2), 2.4 (4),
2.4 (8); a single one is hardly better than free text.  The more, the longer it takes."""

_Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decoding:
    """What one segment says."""

    text: str
    log_prob: float | None
    """Mean natural log-probability per token of free text, whether or not a dictation is preferred;
    None for a segment too short to decode."""
    choice: str | None = None
    """The expected phrase it was, if surely one of them."""
    tokens: tuple[int, ...] = ()
    """The text as the model wrote it: a draft for the same segment once it is longer."""


def model_folder() -> Path:
    """Find the model files in the installed wheel.

    Raises:
        ProviderUnavailable: not installed, or a later version without the model.
    """
    spec = importlib.util.find_spec("moonshine_voice")
    if spec is None or not spec.submodule_search_locations:
        raise ProviderUnavailable("moonshine", f"package moonshine-voice is missing: {INSTALL}")
    folder = Path(spec.submodule_search_locations[0]) / "assets" / "tiny-en"
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ProviderUnavailable(
            "moonshine",
            f"{', '.join(missing)} missing in {folder}: only version 0.1.0 carries the model: "
            f"{INSTALL}",
        )
    return folder


class MoonshineModel:
    """The loaded network.  Nothing is kept between calls: several threads may use it at once."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._encoder = session("moonshine", folder / _FILES[0], threads)
        self._decoder = session("moonshine", folder / _FILES[1], threads)
        check_model("moonshine", folder / _FILES[2])
        self._vocabulary = Vocabulary.read(folder / _FILES[2])
        self._grammars = {name: build(self._vocabulary) for name, build in GRAMMARS.items()}

    def decode(
        self,
        pcm: bytes,
        choices: Sequence[str] = (),
        should_stop: Callable[[], bool] = lambda: False,
        draft: Sequence[int] = (),
        grammar: GrammarName | None = None,
        rate_hz: int = SOURCE_HZ,
    ) -> Decoding | None:
        """Recognize one segment.

        Args:
            pcm: mono s16le at `rate_hz`.
            choices: phrases one of which is expected.
            should_stop: asked before every token.
            draft: what a shorter part of the segment said.  It is checked in one step, and what
                still holds need not be decoded token by token.  The text may differ in a word (the
                model is quantized by what it is given), not in quality: 285 and 284 of 376 slot
                phrases of recorded orders, in 89 and 124 ms.
            grammar: what is dictated, if anything: free text is given only where that is far
                likelier than anything of this kind.
            rate_hz: of the audio, 8000 or 16000.

        Returns:
            The decoding, or None when it was stopped.
        """
        seconds = len(pcm) / SAMPLE_BYTES / rate_hz
        if seconds < _SHORTEST_S:
            return Decoding("", None)
        states = self._encode(pcm, rate_hz)
        limit = math.ceil(seconds * _TOKENS_PER_S) + 1
        decoded = self._greedy(states, limit, should_stop, draft)
        if decoded is None:
            return None
        tokens, log_prob = decoded
        choice = self._choose(states, choices, log_prob) if choices else None
        dictated = None
        if grammar is not None:
            dictated = self._dictated(states, self._grammars[grammar], limit, log_prob, should_stop)
        mean = log_prob / (len(tokens) + 1)  # of free text, also where a dictation is preferred:
        # shows whether there was speech at all
        said = tokens if dictated is None else dictated
        return Decoding(self._vocabulary.text(said), mean, choice, tuple(tokens))

    def score(self, pcm: bytes, phrases: Sequence[str]) -> list[float]:
        """Natural log-probability of each phrase being all that is said in the segment."""
        return self._score(self._encode(pcm, SOURCE_HZ), phrases)

    def _encode(self, pcm: bytes, rate_hz: int) -> _Float32:
        """Return the encoder's states, float32[1, frames, 288]."""
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768
        wide = resample_floats(samples, rate_hz, MODEL_HZ)
        padded = np.concatenate([wide, np.zeros(int(_TAIL_S * MODEL_HZ), np.float32)])[None]
        mask = np.ones(padded.shape, np.int64)
        states: _Float32 = self._encoder.run(
            None, {"input_values": padded, "attention_mask": mask}
        )[0]
        return states

    def _greedy(
        self,
        states: _Float32,
        limit: int,
        should_stop: Callable[[], bool],
        draft: Sequence[int],
    ) -> tuple[list[int], float] | None:
        """Decode greedily; return the tokens and their summed log-probability."""
        past = _empty_past(1)
        tokens: list[int] = []
        total, token, given = 0.0, BEGIN, [BEGIN, *draft[:limit]]
        while True:
            if should_stop():
                return None
            logits, past = self._step(np.array([given], np.int64), states, past)
            for row, drafted in zip(logits[0], [*given[1:], None], strict=True):
                token = int(row.argmax())
                total += float(_log_softmax(row)[token])
                if token == END or len(tokens) >= limit:
                    return tokens, total
                tokens.append(token)
                if token != drafted:
                    break
            past = _first(past, len(tokens))
            given = [token]

    def _dictated(
        self,
        states: _Float32,
        grammar: Grammar,
        limit: int,
        free_log_prob: float,
        should_stop: Callable[[], bool],
    ) -> tuple[int, ...] | None:
        """Return what was dictated; None when it was something else, or when stopped."""
        found = self._search(states, grammar, limit, should_stop)
        if found is None:
            return None
        text = self._vocabulary.text(found.tokens)
        mean = found.log_prob / (len(found.tokens) + 1)
        is_it = grammar.suits(text, free_log_prob - found.log_prob, mean)
        return found.tokens if is_it else None

    def _search(
        self,
        states: _Float32,
        grammar: Grammar,
        limit: int,
        should_stop: Callable[[], bool],
    ) -> Hypothesis | None:
        """Find the likeliest of the grammar; None when stopped or nothing ended in time."""
        past = _empty_past(1)
        searched = [Hypothesis(grammar.root)]
        finished: list[Hypothesis] = []
        for _ in range(limit + 1):
            if should_stop():
                return None
            given = np.array([[each.last] for each in searched], np.int64)
            logits, past = self._step(given, np.repeat(states, len(searched), axis=0), past)
            step = extend(grammar, searched, _log_softmax(logits[:, -1]), _BEAM)
            finished += step.finished
            searched = step.open
            best = best_of(finished)
            if not searched or (best is not None and best.log_prob >= searched[0].log_prob):
                return best
            past = _rows(past, step.rows)
        return best_of([*finished, *searched])

    def _step(
        self, tokens: npt.NDArray[np.int64], states: _Float32, past: dict[str, _Float32]
    ) -> tuple[_Float32, dict[str, _Float32]]:
        is_first = past["0.decoder.key"].shape[2] == 0
        inputs: dict[str, Any] = {f"past_key_values.{name}": past[name] for name in _PAST}
        inputs["input_ids"] = tokens
        inputs["encoder_hidden_states"] = states
        # nothing is masked; the decoder thins this to every 384th place, and one spreads to all
        inputs["encoder_attention_mask"] = np.ones((len(states), 1), np.int64)
        inputs["use_cache_branch"] = np.array([not is_first])
        logits, *present = self._decoder.run(None, inputs)
        # the cached branch gives the encoder's part back empty: keep the first one
        fresh = {
            name: value
            for name, value in zip(_PAST, present, strict=True)
            if is_first or "decoder" in name
        }
        return logits, past | fresh

    def _choose(
        self, states: _Float32, choices: Sequence[str], greedy_log_prob: float
    ) -> str | None:
        """Pick the phrase that was said, if the audio is clear about it."""
        spoken = [_as_written(choice) for choice in choices]
        scores = self._score(states, [form for forms in spoken for form in forms])
        best: dict[str, float] = {}
        for choice, forms in zip(choices, spoken, strict=True):
            own, scores = scores[: len(forms)], scores[len(forms) :]
            best[choice] = float(np.logaddexp.reduce(own))
        has_forms = any("|" in choice for choice in choices)
        return pick(best, greedy_log_prob, _FORMS_LEAD if has_forms else _CHOICE_LEAD)

    def _score(self, states: _Float32, phrases: Sequence[str]) -> list[float]:
        """Score all phrases in one teacher-forced pass."""
        rows = [[*self._vocabulary.encode(phrase), END] for phrase in phrases]
        longest = max(map(len, rows))
        given = np.full((len(rows), longest), END, np.int64)
        for place, row in enumerate(rows):
            given[place, : len(row)] = [BEGIN, *row[:-1]]
        repeated = np.repeat(states, len(rows), axis=0)
        logits, _ = self._step(given, repeated, _empty_past(len(rows)))
        return [
            float(_log_softmax(line[: len(row)])[np.arange(len(row)), row].sum())
            for line, row in zip(logits, rows, strict=True)
        ]


def pick(
    scores: dict[str, float], free_log_prob: float, least_lead: float = _CHOICE_LEAD
) -> str | None:
    """Choose the best phrase if it is convincing.

    Args:
        scores: natural log-probability of each phrase.
        free_log_prob: of what the recognizer would write without any expectation.
        least_lead: natural-log odds that the best must have over the second.

    Returns:
        The phrase; None when another is nearly as likely or free text is far likelier.
    """
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    loss = free_log_prob - scores[ranked[0]]
    lead = scores[ranked[0]] - scores[ranked[1]] if len(ranked) > 1 else least_lead
    is_sure = lead >= least_lead and loss < max(lead, _CHOICE_LOSS)
    return ranked[0] if is_sure else None


def _as_written(phrase: str) -> list[str]:
    """Return the forms in which the model, taught on captions, may write a phrase or group."""
    forms = [form[:1].upper() + form[1:] for form in phrase.split("|")]
    sentences = [f"{form}." for form in forms]
    return sentences if len(forms) > 1 else [*sentences, *forms]


def _first(past: dict[str, _Float32], count: int) -> dict[str, _Float32]:
    """Drop the decoder's state after this many tokens."""
    return {
        name: value[:, :, :count] if "decoder" in name else value for name, value in past.items()
    }


def _rows(past: dict[str, _Float32], rows: Sequence[int]) -> dict[str, _Float32]:
    """Go on from these rows of a batch; all hear the same, so the encoder's part is only sized."""
    return {
        name: value[rows]
        if "decoder" in name
        else value
        if len(value) == len(rows)
        else np.repeat(value[:1], len(rows), axis=0)
        for name, value in past.items()
    }


def _empty_past(batch: int) -> dict[str, _Float32]:
    empty = np.zeros((batch, _HEADS, 0, _HEAD_SIZE), np.float32)
    return dict.fromkeys(_PAST, empty)


def _log_softmax(logits: _Float32) -> _Float32:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normal: _Float32 = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normal
