"""Voice: sentences in, whole 20 ms line frames out, whatever rate and level the synthesizer has.

Every text on its way to a caller passes here, and is read as a person would read it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from copy import copy
from functools import partial

import structlog

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.audio.framer import Framer
from gateway.audio.speech_cache import SpeechCache
from gateway.conversation.meter import VoiceMeter
from gateway.conversation.sentences import SentenceSplitter
from gateway.conversation.voice_session import VoiceSession
from gateway.errors import ProviderError
from gateway.providers.contracts import Delivery, Spoken, TextToSpeech
from gateway.providers.kit.reach import is_remote
from gateway.providers.kit.speech import speech
from gateway.spoken import speakable

log = structlog.get_logger(__name__)


class Voice:
    """A synthesizer with the sentences that were rendered ahead of time."""

    def __init__(
        self,
        synthesizer: TextToSpeech,
        language: str = "en",
        line_format: AudioFormat = NARROWBAND,
    ) -> None:
        """Take a synthesizer.

        Args:
            synthesizer: its own `language`, where it has one, goes before.
            language: of the texts.
            line_format: what the line sends; a wider one keeps the band of a wider synthesizer.
        """
        self._synthesizer = synthesizer
        self._line_format = line_format
        self._language: str = getattr(synthesizer, "language", "") or language
        delivery = getattr(synthesizer, "delivery", Delivery())
        self._cache = SpeechCache(delivery.cache_bytes)
        self._rendered: dict[str, tuple[Spoken, ...]] = {}
        """Frames with their words, by what is read aloud."""
        self._of_engines: dict[str, dict[str, tuple[Spoken, ...]]] = {}
        """The same for each voice that a call may get, by its name."""
        self._session: VoiceSession | None = None
        own_hz, has_hz = line_format.sample_rate_hz, synthesizer.output_format.sample_rate_hz
        self._own: Voice | None = None
        """How it speaks but for a change during a call; None = there was no change."""
        self._retired: tuple[VoiceSession, ...] = ()
        """Sessions from before such a change."""
        self._wide: Voice | None = None
        """The same for lines of a wider band, where it makes a difference."""
        if own_hz < WIDEBAND.sample_rate_hz <= has_hz:
            self._wide = Voice(synthesizer, language, WIDEBAND)

    def for_line(self, line_format: AudioFormat) -> Voice:
        """Return this voice in the band of a line, as far as the synthesizer has it."""
        is_wide = line_format.sample_rate_hz >= WIDEBAND.sample_rate_hz
        return self._wide if is_wide and self._wide is not None else self

    def chosen(self, choose: Callable[[TextToSpeech], TextToSpeech]) -> Voice:
        """Return this voice with the synthesizer that is chosen for a call.

        A synthesizer that is one of several has a `voice_name`: what was rendered ahead is heard in
        the same voice.
        """
        synthesizer = choose(self._synthesizer)
        return self if synthesizer is self._synthesizer else self.with_synthesizer(synthesizer)

    def with_synthesizer(self, synthesizer: TextToSpeech) -> Voice:
        """Return this voice with another synthesizer, and what was rendered ahead by that."""
        voice = copy(self)
        name: str = getattr(synthesizer, "voice_name", "")
        wide = None if self._wide is None else self._wide.with_synthesizer(synthesizer)
        vars(voice).update(
            _synthesizer=synthesizer,
            _language=getattr(synthesizer, "language", "") or self._language,
            _rendered=self._of_engines.setdefault(name, {}),
            _wide=wide,
        )
        return voice

    def of_call(
        self, call_id: str, group: asyncio.TaskGroup, meter: VoiceMeter | None = None
    ) -> Voice:
        """Return this voice with a session of its own for one call, unless it has one.

        What was rendered ahead and the sentences that are kept are shared.

        Args:
            call_id: the gateway's.
            group: owns the session.
            meter: counts what is said.
        """
        if self._session is not None:
            return self
        voice = copy(self)
        voice._session = VoiceSession(  # noqa: SLF001 - a copy
            self._synthesizer, call_id, group, meter
        )
        return voice

    def change(self, voice: Voice, meter: VoiceMeter) -> None:
        """Speak as another voice does, from the next sentence on, until `close`.

        What was rendered ahead only in the manner before is said so: a filler must not fail.

        Args:
            voice: the other one, of no call.
            meter: counts what it says.
        """
        before, session = copy(self), self._session
        self._adopt(voice.for_line(self._line_format))
        self._own = before._own or before  # noqa: SLF001 - a copy
        if session is not None:
            self._session = session.at(self._synthesizer, meter)
            self._retired = (*self._retired, session)
            session.retire()

    def _adopt(self, voice: Voice) -> None:
        self._synthesizer, self._language = voice._synthesizer, voice._language
        self._cache, self._rendered = voice._cache, voice._rendered

    @property
    def is_remote(self) -> bool:
        """True when the synthesizer is behind a network."""
        return is_remote(self._synthesizer)

    def prepare(self) -> None:
        """Make sure that a session is being opened: a reply begins."""
        if self._session is not None:
            self._session.prepare()

    def close(self) -> None:
        """End the session of the call, if there is one, and what was changed.  Idempotent."""
        sessions, own = (*self._retired, self._session), self._own
        for session in sessions:
            if session is not None:
                session.close()
        if own is not None:
            self._adopt(own)
            self._session = own._session  # noqa: SLF001 - of a copy
            self._own, self._retired = None, ()

    def reading(self, text: str) -> str:
        """What a caller hears of a text, in words; empty when nothing of it has a sound."""
        return speakable(text, self._language)

    async def render_ahead(self, texts: Sequence[str]) -> None:
        """Render texts that will surely be said, so that they start at once and cannot fail.

        Raises:
            ProviderError: the synthesizer failed.
        """
        voices: Sequence[TextToSpeech] = getattr(self._synthesizer, "voices", ())
        if voices:  # each call gets one of them
            for synthesizer in voices:
                try:
                    await self.with_synthesizer(synthesizer).render_ahead(texts)
                except ProviderError as error:  # then they are spoken when they are needed
                    log.warning("render_ahead_failed", problem=str(error))
            return
        for text in texts:
            for said in self._readings(text):
                if said not in self._rendered:
                    spoken = [piece async for piece in self._synthesizer.speak(said)]
                    await self.keep(said, spoken)
                    if self._wide is not None:
                        await self._wide.keep(said, spoken)

    async def keep(self, said: str, spoken: Sequence[Spoken]) -> None:
        """Have a text ready, given what the synthesizer has made of it."""
        parts = speech(self._synthesizer, said, self._line_format, lambda _: _replayed(spoken))
        self._rendered[said] = tuple([frame async for frame in self._framed(parts)])

    async def frames(self, piece: str) -> AsyncGenerator[Spoken]:
        """Yield the frames of one piece of text; none where there is nothing to say.

        Words come with the first frame or later, with their place (`at_ms`), where the synthesizer
        reports it; what it reports behind a frame comes without sound.

        Raises:
            ProviderError: the synthesizer failed.
        """
        said = self.reading(piece)
        if said in self._rendered or not said:
            for frame in self._rendered.get(said, ()):
                yield frame
            return
        async with aclosing(self._synthesize(said)) as frames:
            async for frame in frames:
                yield frame

    @property
    def takes_beginnings(self) -> bool:
        """True when a sentence can be begun before its rest is known (`growing_frames`)."""
        return self._session is not None and self._session.takes_beginnings

    async def growing_frames(
        self, begun: str, rest: asyncio.Future[str]
    ) -> AsyncGenerator[Spoken, None]:
        """Yield the frames of a piece that is still being written, as `frames` does.

        Args:
            begun: its first words.
            rest: what follows them.

        Raises:
            ProviderError: the synthesizer failed.
        """
        session, said = self._session, self.reading(begun)
        if session is None or not session.takes_beginnings or not said:
            whole = f"{begun} {await asyncio.shield(rest)}"
            async with aclosing(self.frames(whole)) as frames:
                async for frame in frames:
                    yield frame
            return
        said_rest: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def read(found: asyncio.Future[str]) -> None:
            if not found.cancelled() and not said_rest.done():
                whole = self.reading(f"{begun} {found.result()}")
                is_same = whole.startswith(said)
                said_rest.set_result(
                    whole.removeprefix(said) if is_same else self.reading(found.result())
                )

        rest.add_done_callback(read)
        speak = partial(session.speak, rest=said_rest)
        spoken = speech(self._synthesizer, said, self._line_format, speak)
        try:
            async with aclosing(self._framed(spoken)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            rest.remove_done_callback(read)
            said_rest.cancel()

    def rendered(self, text: str) -> tuple[bytes, ...]:
        """Return the frames of a text that was rendered ahead; none when it was not."""
        readings = self._readings(text)
        if not all(said in self._rendered for said in readings):
            return self._own.rendered(text) if self._own is not None else ()
        frames = (frame.pcm for said in readings for frame in self._rendered[said])
        return tuple(frame for frame in frames if frame)

    def _readings(self, text: str) -> list[str]:
        return [said for piece in pieces_of(text) if (said := self.reading(piece))]

    async def _synthesize(self, piece: str) -> AsyncGenerator[Spoken, None]:
        async with aclosing(self._framed(self._speech(piece))) as frames:
            async for frame in frames:
                yield frame

    async def _framed(self, parts: AsyncGenerator[Spoken, None]) -> AsyncGenerator[Spoken, None]:
        """Cut speech into frames; words that come before the first one wait for it."""
        framer = Framer(self._line_format.frame_bytes)
        waiting: list[Spoken] = []
        has_begun = False
        async with aclosing(parts):
            async for part in parts:
                if part.text:
                    waiting.append(Spoken(b"", part.text, part.at_ms))
                for frame in framer.push(part.pcm):
                    has_begun = True
                    yield Spoken(frame)
                while has_begun and waiting:
                    yield waiting.pop(0)
        for frame in framer.flush():
            yield Spoken(frame)
        for words in waiting:
            yield words

    async def _speech(self, piece: str) -> AsyncGenerator[Spoken, None]:
        cache = self._cache
        kept = cache.get(piece)
        if kept is not None:
            yield Spoken(kept)
            for at_ms, text in cache.words(piece):
                yield Spoken(b"", text, at_ms)
            return
        whole = bytearray()
        words: list[tuple[int, str]] = []
        speak = self._session.speak if self._session is not None else None
        async with aclosing(speech(self._synthesizer, piece, self._line_format, speak)) as spoken:
            async for part in spoken:
                whole += part.pcm
                if part.text:
                    words.append((part.at_ms or 0, part.text))
                yield part
        cache.put(piece, bytes(whole), words)


async def _replayed(spoken: Sequence[Spoken]) -> AsyncGenerator[Spoken, None]:
    for piece in spoken:
        yield piece


def pieces_of(text: str) -> Sequence[str]:
    """Cut a whole text the way a streamed reply is cut."""
    splitter = SentenceSplitter()
    return [*splitter.push(text), *splitter.flush()]
