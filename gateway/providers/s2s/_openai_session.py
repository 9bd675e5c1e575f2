"""A session with a server of OpenAI's realtime dialect, and the engine that opens it."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from pydantic import SecretStr

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.providers.contracts import Message
from gateway.providers.kit.endpoint import Endpoint
from gateway.providers.kit.socket_session import MessageSession
from gateway.providers.kit.warm import WarmSockets
from gateway.providers.kit.websocket import Socket, connected
from gateway.providers.s2s._openai_dialect import (
    Dialect,
    Event,
    RealtimeSettings,
    audio_format,
    greeting_request,
    history_items,
    placed,
    session_object,
    told_items,
)
from gateway.providers.s2s._openai_events import Reader
from gateway.providers.speech_to_speech import (
    Eagerness,
    Opening,
    SpeechEvent,
    SpeechSession,
    TurnOwner,
)

_WARM_S = 600.0
"""An idle connection is replaced after this time: the longest session counts from its beginning."""


class RealtimeSession(MessageSession):
    """Satisfies `speech_to_speech.SpeechSession`."""

    def __init__(
        self, socket: Socket, endpoint: Endpoint, engine: RealtimeEngine, form: AudioFormat
    ) -> None:
        super().__init__(socket, endpoint, (form, form))
        self.turns = engine.turns
        self._reader = Reader(engine.dialect, form, endpoint.error)
        self._engine = engine
        self._told = 0
        self._untaken: set[str] = set()
        """Ids of items that the server has not confirmed."""
        self._wants_answer = False
        self._is_asked = False
        """`response.create` was sent, and nothing has come of it yet."""

    async def open(self, opening: Opening, session: Event, within_s: float) -> None:
        """Ask for the session and wait until the server has accepted it.  Raises ProviderError."""
        self._send({"type": "session.update", "session": session})
        for item in history_items(opening.messages):
            self._add(item)
        if opening.greeting:
            self._ask(greeting_request(opening.greeting))
        while not self._reader.is_accepted:
            self._own.extend(self._understood(await self._socket.receive(within_s)))

    def push(self, audio: bytes) -> None:
        """Send caller audio."""
        if audio:
            coded = base64.b64encode(audio).decode()
            self._socket.post('{"type":"input_audio_buffer.append","audio":"' + coded + '"}')

    def commit(self) -> None:
        """End the caller's turn, unless the server's detection has, and ask for a reply."""
        if self._engine.settings.turn_detection == "none" or self._reader.is_heard_open:
            self._send({"type": "input_audio_buffer.commit"})
        self._answer()

    def cut(self, reply_id: str, heard_ms: int) -> None:
        """Cancel a reply that is being made, and truncate it to what was heard."""
        for event in self._reader.cut(reply_id, heard_ms):
            self._send(event)

    def tell(self, messages: Sequence[Message], *, answer: bool) -> None:
        """Add items to the conversation, and ask for a reply."""
        for item in told_items(messages):
            self._add(item)
        if answer:
            self._answer()

    def instruct(self, instructions: str) -> None:
        """Replace the instructions."""
        session = placed(self._engine.dialect, {"instructions": instructions})
        self._send({"type": "session.update", "session": session})

    def set_eagerness(self, eagerness: Eagerness) -> None:
        """Change the server's turn detection, if it has any."""
        detection = self._engine.settings.detection(eagerness)
        if detection is None:
            self._notice("turn detection is off: the gateway ends turns, and its eagerness counts")
            return
        session = placed(self._engine.dialect, {"turn_detection": detection})
        self._send({"type": "session.update", "session": session})

    def _understood(self, message: str | bytes) -> Iterator[SpeechEvent]:
        """Read one message of the server and answer what depends on it."""
        event = self._socket.parsed(message)
        events = self._reader.read(event)
        self._untaken.difference_update(self._reader.seen_items)
        self._reader.seen_items.clear()
        match event.get("type"):
            case "response.created":
                self._is_asked = False
                if not self._untaken:
                    self._wants_answer = False  # this reply knows all that was told
            case "response.done":
                self._is_asked = False
            case "error":
                self._is_asked = False
                self._wants_answer |= self._reader.was_refused
                self._reader.was_refused = False
        self._ask_if_free()
        yield from events
        if self._reader.failure:
            raise self._reader.failure

    def _answer(self) -> None:
        self._wants_answer = True
        self._ask_if_free()

    def _ask_if_free(self) -> None:
        """Ask for a reply once the server makes no other: it would refuse a second one."""
        if self._wants_answer and self._reader.active is None and not self._is_asked:
            self._wants_answer = False
            self._ask({})

    def _ask(self, response: Event) -> None:
        self._is_asked = True
        self._send({"type": "response.create", **({"response": response} if response else {})})

    def _add(self, item: Event) -> None:
        self._told += 1
        item_id = f"told_{self._told}"
        self._untaken.add(item_id)
        self._send({"type": "conversation.item.create", "item": {"id": item_id, **item}})


class RealtimeEngine:
    """Satisfies `speech_to_speech.SpeechToSpeech`."""

    takes_tools = True

    def __init__(self, dialect: Dialect, settings: RealtimeSettings) -> None:
        self.dialect = dialect
        self.settings = settings
        self.turns: TurnOwner = settings.turns
        self.may_be_warm = dialect.may_be_warm
        self._warm = WarmSockets(lambda: self._endpoint(f"warm-{uuid4().hex}"), _WARM_S)

    def keep_warm(self, count: int) -> None:
        """Keep this number of connections ready for the next sessions."""
        self._warm.keep(count)

    async def warm_up(self) -> None:
        """Connect and wait for the server's first event, which costs nothing."""
        async with connected(self._endpoint("")) as socket:
            reader = Reader(self.dialect, NARROWBAND, self._endpoint("").error)
            reader.read(socket.parsed(await socket.receive(self.settings.connect_timeout_s)))
            if reader.failure:
                raise reader.failure

    @asynccontextmanager
    async def connect(self, opening: Opening) -> AsyncGenerator[SpeechSession, None]:
        """Open a session."""
        form = audio_format(self.dialect, self.settings, opening.line)
        endpoint = self._endpoint(opening.call_id)
        async with self._warm.connected(endpoint) as socket:
            session = RealtimeSession(socket, endpoint, self, form)
            wanted = session_object(self.dialect, self.settings, opening, form)
            await session.open(opening, wanted, self.settings.connect_timeout_s)
            yield session

    async def close(self) -> None:
        """Cut connections that wait for a session: every session has one of its own."""
        await self._warm.close()

    def _endpoint(self, call_id: str) -> Endpoint:
        dialect, settings = self.dialect, self.settings
        query = [
            (dialect.model_query, settings.model),
            (dialect.call_query, call_id or "test"),
            *dialect.query,
        ]
        key = settings.api_key.get_secret_value()
        headers: dict[str, str | SecretStr] = {}
        if key:
            headers["Authorization"] = SecretStr(f"{dialect.authorization} {key}")
        if dialect.call_header and call_id:
            headers[dialect.call_header] = call_id
        return Endpoint(
            dialect.name,
            settings.base_url.rstrip("/") + dialect.path,
            headers,
            [(name, value) for name, value in query if name],
            connect_timeout_s=settings.connect_timeout_s,
        )
