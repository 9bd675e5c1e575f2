"""Google Cloud's streaming recognizer (Speech-to-Text v2: Chirp, telephony).  G.711 untouched.

Protocol: `google.cloud.speech.v2.Speech/StreamingRecognize` of the vendor's library 2.41.  A caller
turn is a call on one channel; with the vendor's turn detection a call goes on for four minutes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.audio.format import NARROWBAND, WIDEBAND, AudioFormat
from gateway.errors import ProviderRejected
from gateway.providers.contracts import ProviderSettings, SpeechToText
from gateway.providers.kit.advice import Advice
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.fields import Fields
from gateway.providers.kit.google_cloud import GoogleCloud, GoogleSettings, key_faults, missing
from gateway.providers.kit.link import Link
from gateway.providers.kit.recognizer import Dialect, SocketRecognizer
from gateway.providers.kit.recognizer_stream import MarkKind, Words
from gateway.providers.localized import with_region
from gateway.providers.stt._google_calls import FLUSH, GoogleCalls

SUMMARY = "Google Chirp and telephony (Speech v2); turn detection, G.711 untouched (gRPC)."

_ENCODINGS = {"s16": "LINEAR16", "pcmu": "MULAW", "pcma": "ALAW"}
_BEGIN, _END = 2, 3
"""`SpeechEventType` of speech that begins and ends."""


class Settings(GoogleSettings):
    """`stt = { provider = "google", ... }`."""

    project: str = ""
    """Id of the project; empty = that of the credentials."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = "us"
    """`us`, `eu`, `global` or another one that has the model."""
    recognizer: str = "_"
    """One that you have made in the project; `_` = none."""
    model: Annotated[str, Field(min_length=1)] = "chirp_3"
    """`chirp_3`, `chirp_2`, `telephony`, `telephony_short`, `long`."""
    language: str = ""
    """Such as `de-DE`; empty = `en-US`.  `auto` = detected, where the model can."""
    keyterms: Annotated[tuple[str, ...], Field(max_length=500)] = ()
    """Names and words of the trade that are to be recognized."""
    keyterm_boost: Annotated[float, Field(ge=0, le=20)] = 10.0
    """How much more likely they are."""
    profanity_filter: bool = False
    punctuation: bool = True
    endpointing: Literal["standard", "short", "supershort"] = "short"
    """How soon a turn ends, with `turn.by`."""
    replaced_after_s: Annotated[float, Field(gt=0, le=255)] = 240.0
    """Age of a call (five minutes at most) from which on another takes its place."""


class _Vendor:
    name = "google"
    hears_turns = True
    encodings = frozenset(_ENCODINGS)
    narrow, wide = NARROWBAND, WIDEBAND

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.accept_within_s = settings.connect_timeout_s

    def endpoint(self, audio: AudioFormat, *, listens: bool) -> Endpoint:
        return Endpoint(self.name, f"{audio} {'listens' if listens else 'turn'}")

    def dialect(self, endpoint: Endpoint, audio: AudioFormat, *, listens: bool) -> Dialect:
        return _Google(endpoint, self._settings, audio, listens=listens)


class _Google(Dialect):
    def __init__(
        self, endpoint: Endpoint, settings: Settings, audio: AudioFormat, *, listens: bool
    ) -> None:
        super().__init__(endpoint)
        self._listens = listens
        self.silence_every_s = 1.0 if listens else None
        self._text = ""
        """Of the segment in progress."""
        self._is_over = False
        """Speech has ended; its final words are awaited."""

    def event(self, link: Link, message: Any) -> Fields:  # noqa: ANN401 - see `GoogleCalls.receive`
        base_s, answer = message
        return Fields({"base_s": base_s, "answer": answer})

    def flush(self) -> Iterable[bytes]:
        return (FLUSH,)

    def understood(self, event: Fields) -> Iterator[Words]:
        base_s, answer = event.number("base_s"), event.value("answer")
        if answer is None:
            text, self._text = self._text, ""
            yield Words(text, is_settled=True, is_flushed=True)
        else:
            yield from self._answered(base_s, answer)

    def _answered(self, base_s: float, answer: Any) -> Iterator[Words]:  # noqa: ANN401 - of protobuf
        if answer.speech_event_type == _BEGIN and self._listens:
            self._is_over = False
            at_s = base_s + _seconds(answer.speech_event_offset)
            yield Words(self._text, mark="start", start_s=at_s, end_s=at_s)
        open_text, end_s = "", None
        for result in answer.results:
            said = result.alternatives[0].transcript.strip() if result.alternatives else ""
            end_s = base_s + _seconds(result.result_end_offset)
            if result.is_final:
                yield self._settled(said, end_s)
            else:
                open_text = f"{open_text} {said}".strip()
        if open_text:
            self._text = open_text
            yield Words(open_text, end_s=end_s)
        if answer.speech_event_type == _END and self._listens:
            at_s = base_s + _seconds(answer.speech_event_offset)
            self._is_over = bool(self._text)
            mark: MarkKind = "eager_end" if self._text else "end"
            yield Words(self._text, is_settled=not self._text, mark=mark, end_s=at_s)

    def _settled(self, text: str, end_s: float) -> Words:
        self._text = ""
        mark: MarkKind | None = "end" if self._is_over else None
        self._is_over = False
        return Words(text, is_settled=True, mark=mark, end_s=end_s)


def _seconds(duration: Any) -> float:  # noqa: ANN401 - of protobuf
    return float(duration.seconds) + float(duration.nanos) / 1e9


class GoogleRecognizer(SocketRecognizer):
    """Satisfies `SpeechToText`: all calls of a worker share a channel."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_Vendor(settings), self._connected)
        self._settings = settings
        host = "speech.googleapis.com"
        region = settings.region
        where = host if region == "global" else f"{region}-{host}"
        self._cloud = GoogleCloud(settings, where, "google.cloud.speech_v2.types.cloud_speech")

    async def close(self) -> None:
        """Close the channel.  Idempotent."""
        await self._cloud.close()

    @asynccontextmanager
    async def _connected(self, endpoint: Endpoint) -> AsyncGenerator[Link, None]:
        audio, _, how = endpoint.url.partition(" ")
        encoding, _, rate_hz = audio.partition("/")
        form = AudioFormat(int(rate_hz), encoding=encoding)  # type: ignore[arg-type]
        await self._cloud.connect()
        from google.cloud.speech_v2.types import cloud_speech  # noqa: PLC0415 - of an extra

        first = self._configuration(cloud_speech, form, listens=how == "listens")
        calls = GoogleCalls(self._cloud, first, cloud_speech, form, self._settings.replaced_after_s)
        try:
            yield calls
        finally:
            await calls.close()

    def _configuration(self, types: Any, audio: AudioFormat, *, listens: bool) -> Any:  # noqa: ANN401 - of protobuf
        settings = self._settings
        project = settings.project or self._cloud.project
        if not project:
            problem = "project is empty, and the credentials name none: set project"
            raise self._cloud.error(ProviderRejected, problem)
        config: dict[str, Any] = {
            "explicit_decoding_config": {
                "encoding": _ENCODINGS[audio.encoding],
                "sample_rate_hertz": audio.sample_rate_hz,
                "audio_channel_count": 1,
            },
            "model": settings.model,
            "language_codes": [settings.language or "en-US"],
            "features": {
                "profanity_filter": settings.profanity_filter,
                "enable_automatic_punctuation": settings.punctuation,
            },
        }
        if settings.keyterms:
            phrases = [{"value": term, "boost": settings.keyterm_boost}
                       for term in settings.keyterms]  # fmt: skip
            config["adaptation"] = {"phrase_sets": [{"inline_phrase_set": {"phrases": phrases}}]}
        streaming: dict[str, Any] = {"interim_results": True}
        if listens:
            sensitivity = f"ENDPOINTING_SENSITIVITY_{settings.endpointing.upper()}"
            streaming |= {
                "enable_voice_activity_events": True,
                "endpointing_sensitivity": sensitivity,
            }
        place = f"projects/{project}/locations/{settings.region}"
        request = types.StreamingRecognizeRequest
        return request.pb(
            request(
                recognizer=f"{place}/recognizers/{settings.recognizer}",
                streaming_config={"config": config, "streaming_features": streaming},
            )
        )


def create(settings: Settings) -> SpeechToText:
    """Build the recognizer; nothing is connected yet."""
    return GoogleRecognizer(settings)


def in_language(settings: Settings, language: str) -> ProviderSettings:
    """Tell the vendor the agent's language, with its region."""
    if "language" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"language": with_region(language)})


def faults(settings: Settings) -> Iterator[Advice]:
    """Yield what cannot work."""
    yield from key_faults(settings)
    if settings.api_key.get_secret_value() and not settings.project:
        yield "project", "is empty, and an api_key names no project: write its id"


def cautions(settings: Settings) -> Iterator[Advice]:
    """Yield what may not be meant."""
    if settings.model.startswith("chirp") and settings.region == "global":
        yield "region", f'{settings.model} is not in "global": write "us" or "eu"'


def probe() -> str:
    """Return what hinders its use, empty when nothing does."""
    return missing()
