"""Offline English speech by hibari-tts: a small neural voice that comes inside its wheel.

Its networks are run by our own sessions (one thread, no spinning) after their SHA-256 was checked,
on one thread of the process, sentence by sentence; rendered sentences are kept.  The model and the
thread are shared by all agents of a worker.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from gateway.audio.format import AudioFormat
from gateway.errors import ProviderUnavailable
from gateway.installing import pip_install
from gateway.providers.contracts import Delivery, ProviderSettings, Spoken, TextToSpeech
from gateway.providers.shared_engine import SharedEngine
from gateway.providers.tts._hibari_tables import (
    load_packing,
    load_table,
    packed,
    read_table,
)
from gateway.recognizer.model_files import check_model
from gateway.recognizer.onnx import session
from gateway.threads import BlockingEngine

SUMMARY = "Offline English speech (hibari-tts), a neural voice of 14 MB, about 30 ms per sentence."

_HINT = f"hibari-tts is not installed: {pip_install('hibari-tts==0.2.1')}"
_NETWORKS = ("hibari.onnx", "oov.onnx")
_MOST_CHARACTERS = 180
"""Of text for one run: memory grows with it, 400 words without a stop take 2 s and 800 MB."""
_MOST_PHONEMES = 240
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")
_SEED = 0
"""Of its noise: the same words sound the same, so that they can be kept."""
_LETTER_A = re.compile(
    r"(?<=[\w,] )A(?=[ .,;:?!]|$)"
    r"|^A(?= (?:[A-Z]|one|two|three|four|five|six|seven|eight|nine|zero)\b)"
)
"""A lone capital A within a sentence is a letter (`gateway.spoken`), not the article."""
_CAPITAL_AS_LETTER = "[A](/\u02c8A/)"
"""The phonemes of the letter, in the notation of its front end."""

_Emit = Callable[[Spoken], bool]


class Settings(ProviderSettings):
    """`tts = { provider = "hibari", ... }`."""

    rate: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    """Speaking rate; 2.0 is twice as fast as the voice itself."""
    level_dbfs: Annotated[float, Field(ge=-40.0, le=-10.0)] = -20.0
    """Level of the spoken parts."""
    cache_bytes: Annotated[int, Field(ge=0)] = 16_000_000
    """Rendered texts kept; 16 MB are a thousand seconds."""


class Hibari:
    """Satisfies `TextToSpeech`."""

    output_format = AudioFormat(24_000)
    language = "en"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: BlockingEngine | None = None
        self.delivery = Delivery(
            level_dbfs=settings.level_dbfs, has_whole_pieces=True, cache_bytes=settings.cache_bytes
        )

    async def warm_up(self) -> None:
        """Load the model and speak once.  Raises ProviderUnavailable."""
        async with aclosing(self.speak("Ready.")) as speech:
            async for _ in speech:
                pass

    async def speak(self, text: str) -> AsyncGenerator[Spoken, None]:
        """Yield speech sentence by sentence; nothing where there is nothing to say."""
        if self._engine is None:
            self._engine = _ENGINE.enter()
        speech: AsyncGenerator[Spoken, None] = self._engine.stream(
            lambda emit: _speak(text, self._settings, emit)
        )
        async with aclosing(speech) as pieces:
            async for piece in pieces:
                yield piece

    async def close(self) -> None:
        """Leave the shared thread, which ends with its last user."""
        if self._engine is not None:
            self._engine = None
            _ENGINE.leave()


def create(settings: Settings) -> TextToSpeech:
    """Make the synthesizer; the model is loaded by `warm_up` or the first sentence."""
    return Hibari(settings)


def languages(_settings: Settings) -> tuple[str, ...]:
    """Return English, its only language."""
    return ("en",)


def probe() -> str:
    """Return what is missing here, "" when it can be used."""
    try:
        _checked_files()
    except ProviderUnavailable as error:
        return error.problem
    return ""


def parts_of(text: str) -> list[str]:
    """Cut a text at sentences, and what is too long for one run between words."""
    parts = []
    for sentence in _SENTENCE.split(" ".join(text.split())):
        rest = sentence
        while len(rest) > _MOST_CHARACTERS:
            at = _last_break(rest)
            parts.append(rest[:at])
            rest = rest[at:].lstrip()
        parts.append(rest)
    return [part for part in parts if any(map(str.isalnum, part))]


def _last_break(text: str) -> int:
    """Where to cut a long text: behind a clause in its second half, else between words."""
    half = _MOST_CHARACTERS // 2
    clause = max(text.rfind(f"{mark} ", half, _MOST_CHARACTERS) for mark in ",;:")
    blank = text.rfind(" ", 1, _MOST_CHARACTERS)
    return clause + 1 if clause > 0 else blank if blank > 0 else _MOST_CHARACTERS


def _speak(text: str, settings: Settings, emit: _Emit) -> None:
    """Run one synthesis in this thread; ends within one sentence after `emit` said no."""
    model = _ENGINE.loaded()
    for part in parts_of(text):
        samples = model.samples(part, settings.rate)
        pcm = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()
        if pcm and not emit(Spoken(pcm, part)):
            return


class _Model:
    """Text front end and network of the one voice in the wheel.  One thread only."""

    def __init__(self) -> None:
        assets = _checked_files()
        signal = _signal_processing()  # first: `hibari` itself imports it
        front_end = importlib.import_module("hibari.g2p")
        unknown_words = importlib.import_module("hibari.g2p.oov")
        self._signal: Any = signal
        self.rate_hz: int = self._signal.SR
        self._network = session("hibari", assets / "hibari.onnx")
        self._ids: dict[str, int] = load_table(assets / "vocab.json")
        oov_path = assets / "oov.onnx"
        oov = unknown_words.OOV(str(oov_path), session("hibari", oov_path))
        self._phonemes = _front_end(front_end, assets, oov)

    def samples(self, text: str, rate: float) -> Any:  # noqa: ANN401 - float32 array at `rate_hz`
        """Synthesize one part."""
        letters = _LETTER_A.sub(_CAPITAL_AS_LETTER, text.replace("[", " "))
        phonemes: str = self._phonemes(letters)
        known = [self._ids[c] for c in phonemes if c in self._ids]
        runs = [known[at : at + _MOST_PHONEMES] for at in range(0, len(known), _MOST_PHONEMES)]
        noise = np.random.default_rng(_SEED)
        spoken = [self._run(run, rate, noise) for run in runs if run]
        return np.concatenate(spoken) if spoken else np.zeros(0, np.float32)

    def _run(self, ids: list[int], rate: float, noise: np.random.Generator) -> Any:  # noqa: ANN401
        outputs = self._network.run(
            None,
            {"ids": np.array([[0, *ids, 0]], np.int64), "speed": np.array([rate], np.float32)},
        )
        return self._signal.synth(*(output[0] for output in outputs), noise)


def _signal_processing() -> Any:  # noqa: ANN401 - it has no types
    """Import hibari's signal processing with numpy's Fourier transform.

    SciPy's, which it prefers, is no package of the gateway.  Where it happens to be installed, its
    import takes 0.2 s of CPU in each worker, and saves 3 ms of a sentence (2026-11-29).
    """
    loaded = sys.modules.pop("scipy.fft", None)
    sys.modules["scipy.fft"] = None  # type: ignore[assignment]  # its import fails
    try:
        return importlib.import_module("hibari.dsp")
    finally:
        del sys.modules["scipy.fft"]
        if loaded is not None:
            sys.modules["scipy.fft"] = loaded


def _front_end(module: Any, assets: Path, oov: Any) -> Callable[[str], str]:  # noqa: ANN401
    """Build `hibari.g2p.G2P` on packed tables: a worker has no 100 MB for its dictionaries."""
    tagger = load_packing(assets / "tagger.json.gz", "weights")
    gold = packed(read_table(assets / "lexicon_us_gold.json.gz"))
    silver = packed(read_table(assets / "lexicon_us_silver.json.gz"))
    front_end = module.G2P.__new__(module.G2P)
    front_end.lexicon = module.Lexicon(gold, silver, british=False)
    front_end.tokenizer = module.Tokenizer(load_table(assets / "tokenizer_exceptions.json"))
    front_end.tagger = module.Tagger(tagger)
    front_end._oov = oov  # noqa: SLF001 - its own constructor would load the plain tables
    front_end.unk = ""
    front_end.british = False
    made: Callable[[str], str] = front_end
    return made


def _checked_files() -> Path:
    """Find the folder of the model's files.

    Raises:
        ProviderUnavailable: not installed, or not the files that were chosen.
    """
    found = importlib.util.find_spec("hibari")
    if found is None or not found.submodule_search_locations:
        raise ProviderUnavailable("hibari", _HINT)
    assets = Path(found.submodule_search_locations[0]) / "assets"
    if not all((assets / name).is_file() for name in _NETWORKS):
        raise ProviderUnavailable("hibari", _HINT)
    for name in _NETWORKS:
        check_model("hibari", assets / name)
    return assets


_ENGINE = SharedEngine("hibari", _Model)
