"""Vosk: offline streaming recognition in many languages, with a model folder that you supply."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from gateway.audio.format import NARROWBAND, SAMPLE_BYTES, WIDEBAND, AudioFormat
from gateway.errors import ProviderProtocolError, ProviderUnavailable
from gateway.installing import pip_install
from gateway.providers.contracts import Expect, ProviderSettings, SpeechToText, Transcript
from gateway.threads import BlockingEngine

SUMMARY = "Vosk, offline streaming recognition with a model folder of your language"

_INSTALL = pip_install("vosk")
_WHERE = (
    "get a model (`gateway models list` names some; others: https://alphacephei.com/vosk/models, "
    "unpacked) and put its name or path into the configuration: "
    'stt = { provider = "vosk", model = "vosk-small-en" }'
)
_NAMED = re.compile(r"vosk-(?:model-)?(?:small-)?(en|de|fr|es|it|pt|nl|ru|pl|tr|ca|cs|hi|ja)\b")
"""Names of models whose code is that of ISO 639."""
_STEP_FRAMES = 5
"""Audio is handed to the engine in steps of 100 ms: fewer thread hops, no later answer."""
_LAYOUTS = (
    ("am/final.mdl", "conf/mfcc.conf", "conf/model.conf"),
    ("final.mdl", "mfcc.conf"),
)
"""New and old form of a model folder."""
_GRAPHS = (("graph/HCLG.fst",), ("graph/HCLr.fst", "graph/Gr.fst"), ("HCLG.fst",))


class Settings(ProviderSettings):
    """`stt = { provider = "vosk", model = "/path" }`."""

    model: Path
    """Folder of an unpacked model, or a name of `gateway models list`."""


class Recognizer(Protocol):
    """What is used of `vosk.KaldiRecognizer`."""

    def AcceptWaveform(self, data: bytes) -> int: ...  # noqa: N802, D102 - vosk's own name
    def Result(self) -> str: ...  # noqa: N802, D102
    def PartialResult(self) -> str: ...  # noqa: N802, D102
    def FinalResult(self) -> str: ...  # noqa: N802, D102


OpenRecognizer = Callable[[int], Recognizer]
"""Makes one for audio of a sample rate in Hz."""


def probe() -> str:
    """Return "" when the package is there (the model is a matter of configuration)."""
    missing = importlib.util.find_spec("vosk") is None
    return f"package vosk is missing: {_INSTALL}; then {_WHERE}" if missing else ""


def languages(settings: Settings) -> tuple[str, ...]:
    """Return the language in the name of the model; empty where it names none."""
    found = _NAMED.match(settings.model.name)
    return (found[1],) if found else ()


def create(settings: Settings) -> SpeechToText:
    """Build the provider; nothing is loaded before `warm_up`."""
    return Vosk(Model(lambda: load(settings.model)))


class Model:
    """The loaded model, and the one thread that works with it."""

    def __init__(self, load_model: Callable[[], OpenRecognizer]) -> None:
        """Accept what loads it, which blocks; nothing is loaded yet."""
        self.engine = BlockingEngine("vosk")
        self._load_model = load_model
        self._open: OpenRecognizer | None = None
        self._loading = asyncio.Lock()

    async def loaded(self) -> OpenRecognizer:
        """Return what opens a recognizer; the first call loads.  Raises ProviderUnavailable."""
        async with self._loading:
            if self._open is None:
                self._open = await self.engine.call(self._load_and_run)
            return self._open

    def close(self) -> None:
        """End the thread.  Idempotent."""
        self.engine.close()
        self._open = None

    def _load_and_run(self) -> OpenRecognizer:
        open_recognizer = self._load_model()
        recognizer = open_recognizer(NARROWBAND.sample_rate_hz)
        recognizer.AcceptWaveform(bytes(_STEP_FRAMES * NARROWBAND.frame_bytes))
        recognizer.FinalResult()
        return open_recognizer


class Vosk:
    """Satisfies `contracts.SpeechToText`.  One thread computes for all calls."""

    def __init__(self, model: Model, input_format: AudioFormat = NARROWBAND) -> None:
        """Use a model, which the same provider in another band may use, too."""
        self.input_format = input_format
        self._model = model

    def for_line(self, line_format: AudioFormat) -> Vosk:
        """Return it in the band of a line; the library converts to the band of the model."""
        is_wide = line_format.sample_rate_hz >= WIDEBAND.sample_rate_hz
        return Vosk(self._model, WIDEBAND) if is_wide else self

    async def warm_up(self) -> None:
        """Load the model and run it once on silence.  Raises ProviderUnavailable."""
        await self._model.loaded()

    @asynccontextmanager
    async def stream(self, expect: Expect) -> AsyncIterator[VoskStream]:
        """Open recognition of one caller turn.  Raises ProviderUnavailable."""
        open_recognizer = await self._model.loaded()
        engine, audio = self._model.engine, self.input_format
        recognizer = await engine.call(open_recognizer, audio.sample_rate_hz)
        stream = VoskStream(engine, recognizer, expect, _STEP_FRAMES * audio.frame_bytes)
        try:
            yield stream
        finally:
            stream.close()

    async def close(self) -> None:
        """End the thread."""
        self._model.close()


class VoskStream:
    """Satisfies `contracts.SttStream`.  Iterating it is what moves audio to the engine."""

    def __init__(
        self, engine: BlockingEngine, recognizer: Recognizer, expect: Expect, step_bytes: int
    ) -> None:
        self._step_bytes = step_bytes
        self._engine = engine
        self._recognizer = recognizer
        self._choices = {_plain(choice): choice for choice in expect.choices}
        self._waiting = bytearray()
        self._pushed_samples = 0
        self._is_requested = False
        self._is_closed = False
        self._awake = asyncio.Event()
        self._said: list[str] = []
        """Stretches that the engine has settled.  Engine thread."""

    def push(self, pcm: bytes) -> None:
        """Accept caller audio in the provider's `input_format`, any even length."""
        self._waiting += pcm
        self._pushed_samples += len(pcm) // SAMPLE_BYTES
        if len(self._waiting) >= self._step_bytes:
            self._awake.set()

    def request_transcript(self, among: Sequence[str] = ()) -> None:
        """Ask for a transcript of all audio so far."""
        self._is_requested = True
        self._awake.set()

    def caller_goes_on(self) -> None:
        """Settle nothing that was not begun."""
        self._is_requested = False

    async def __aiter__(self) -> AsyncIterator[Transcript]:
        """Yield transcripts until the stream is closed.  Raises ProviderProtocolError."""
        shown = ""
        while True:
            await self._awake.wait()
            self._awake.clear()
            if self._is_closed:
                return
            pcm, self._waiting = bytes(self._waiting), bytearray()
            covered = self._pushed_samples
            requested, self._is_requested = self._is_requested, False
            text = await self._heard(pcm, settle=requested)
            if requested or text != shown:
                shown = text
                choice = self._choices.get(_plain(text)) if requested else None
                yield Transcript(text, covered, requested, choice=choice)

    def close(self) -> None:
        """End the iteration."""
        self._is_closed = True
        self._awake.set()

    async def _heard(self, pcm: bytes, *, settle: bool) -> str:
        try:
            return await self._engine.call(self._hear, pcm, settle)
        except Exception as exc:  # border: vosk raises bare Exception and broken JSON
            raise ProviderProtocolError("vosk", f"recognition failed: {exc}") from exc

    def _hear(self, pcm: bytes, settle: bool) -> str:  # noqa: FBT001 - called by the engine
        """Advance the recognizer; return the whole turn's text.  Engine thread."""
        recognizer = self._recognizer
        if pcm and recognizer.AcceptWaveform(pcm):
            self._said.append(json.loads(recognizer.Result())["text"])
        if settle:
            self._said.append(json.loads(recognizer.FinalResult())["text"])
            return _joined(self._said)
        return _joined([*self._said, json.loads(recognizer.PartialResult())["partial"]])


def load(model: Path) -> OpenRecognizer:
    """Load a model folder; return what opens a recognizer on it.  Blocks for seconds.

    Raises:
        ProviderUnavailable: no package, no folder, or not a model of vosk.
    """
    try:
        import vosk  # noqa: PLC0415 - heavy and optional: only when it is chosen
    except (ImportError, OSError) as exc:
        raise ProviderUnavailable("vosk", f"package vosk: {exc}: {_INSTALL}") from exc
    check_folder(model)
    vosk.SetLogLevel(-1)
    try:
        loaded = vosk.Model(str(model))
    except Exception as exc:  # border: vosk raises bare Exception
        raise ProviderUnavailable("vosk", f"model {model} is broken: {exc}; {_WHERE}") from exc
    return lambda rate_hz: vosk.KaldiRecognizer(loaded, rate_hz)


def check_folder(model: Path) -> None:
    """Look for the files that every model has: some faults end the process inside the library.

    Raises:
        ProviderUnavailable: reports what is missing and where to get a model.
    """
    if not model.is_dir():
        raise ProviderUnavailable("vosk", f"model folder missing: {model}; {_WHERE}")
    layout = _LAYOUTS[0] if (model / "am").is_dir() else _LAYOUTS[1]
    missing = [name for name in layout if not _is_filled(model / name)]
    if not any(all(_is_filled(model / name) for name in graph) for graph in _GRAPHS):
        missing.append("graph/HCLG.fst or graph/HCLr.fst with graph/Gr.fst")
    if missing:
        problem = f"{model} is not a whole model, missing or empty: {', '.join(missing)}"
        raise ProviderUnavailable("vosk", f"{problem}; {_WHERE}")


def _is_filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _joined(parts: list[str]) -> str:
    return " ".join(filter(None, parts))


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
