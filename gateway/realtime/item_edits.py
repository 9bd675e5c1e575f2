"""ItemEdits: what a client does to the items of its conversation.  Pure."""

from __future__ import annotations

from collections.abc import Callable

from gateway.call.steering import HistoryChanged, Instructed, MessagesAdded, Steer, ToolReturned
from gateway.providers.contracts import ToolResult
from gateway.realtime.history import History, words_until
from gateway.realtime.protocol import client_events as into
from gateway.realtime.protocol import server_events as out
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.items import Item, read_item
from gateway.realtime.responses import NewId, Response, Send

_SLACK_MS = 40
"""A client counts its audio in other pieces than we do."""
ItemEvent = into.ItemCreate | into.ItemRetrieve | into.ItemDelete | into.ItemTruncate


class ItemEdits:
    """Creates, shows, deletes and truncates items, and keeps the call's own history in step."""

    def __init__(
        self, send: Send, new_id: NewId, history: History, ask: Callable[[Steer], None]
    ) -> None:
        self._send = send
        self._new_id = new_id
        self._history = history
        self._ask = ask
        self._instructions = ""

    def do(self, event: ItemEvent, active: Response | None) -> None:
        """Do what an event asks for.

        Args:
            event: of the client.
            active: the response in progress, whose item may be truncated.

        Raises:
            ProtocolError: it cannot be done; nothing has changed.
        """
        match event:
            case into.ItemCreate():
                self._create_item(event)
            case into.ItemRetrieve():
                item = self.find(event.item_id, "item_retrieve_invalid_item_id")
                self._send(out.item_retrieved(item.shown()))
            case into.ItemDelete():
                self._delete_item(event)
            case into.ItemTruncate():
                self._truncate(event, active)

    def instruct(self, instructions: str) -> None:
        """Let the conversation go by these instructions, and what system items add to them."""
        self._instructions = instructions
        self._ask(Instructed(instructions, self._history.system_text()))

    def find(self, item_id: str, code: str) -> Item:
        """Return an item.  Raises ProtocolError of this code: there is none of this id."""
        item = self._history.find(item_id)
        if item is None:
            text = f"Item with item_id '{item_id}' does not exist."
            raise ProtocolError(text, code, "item_id")
        return item

    def _create_item(self, event: into.ItemCreate) -> None:
        item = read_item(event.item, self._new_id("item"))
        if item.pcm:
            text = "Audio in an item is not understood in this version: append it instead."
            raise ProtocolError(text, "unsupported_content", "item.content")
        if item.type == "function_call_output" and self._history.calls(item.call_id) is None:
            text = f"There is no function call with call_id '{item.call_id}' in the conversation."
            raise ProtocolError(text, "item_create_invalid_call_id", "item.call_id")
        before, is_last = self._history.insert(item, event.previous_item_id)
        self._send(out.item_added(item.shown(), before))
        self._send(out.item_done(item.shown(), before))
        if item.type == "function_call_output":
            call = self._history.calls(item.call_id)
            result = ToolResult(item.call_id, call.name if call else "", item.output)
            self._history.returned(result)
            if not self._history.of(item):
                self._ask(ToolReturned(result))
                return
        if item.type == "message" and item.role == "system":
            self.instruct(self._instructions)
        elif is_last:
            self._ask(MessagesAdded(self._history.of(item)))
        else:
            self._ask(HistoryChanged(self._history.messages()))

    def _delete_item(self, event: into.ItemDelete) -> None:
        item = self.find(event.item_id, "item_delete_invalid_item_id")
        self._history.remove(item.id)
        self._send(out.item_deleted(item.id))
        if item.role == "system" and item.type == "message":
            self.instruct(self._instructions)
        else:
            self._ask(HistoryChanged(self._history.messages()))

    def _truncate(self, event: into.ItemTruncate, active: Response | None) -> None:
        item = self.find(event.item_id, "item_truncate_invalid_item_id")
        is_being_said = active is not None and active.item is item
        if not (is_being_said or item.is_spoken_answer):
            text = "Only model output audio messages can be truncated."
            raise ProtocolError(text, "invalid_value", "item_id")
        if event.content_index != 0:
            raise ProtocolError("Invalid 'content_index': expected 0.", "invalid_value",
                                "content_index")  # fmt: skip
        if event.audio_end_ms > item.audio_ms + _SLACK_MS:
            text = (
                f"Audio content of {item.audio_ms}ms is already shorter than {event.audio_end_ms}ms"
            )
            raise ProtocolError(text, "invalid_value", "audio_end_ms")
        self._send(out.item_truncated(item.id, 0, event.audio_end_ms))
        if active is not None and is_being_said:
            active.heard_ms = event.audio_end_ms
            return
        text = words_until(item, event.audio_end_ms)
        if len(text) < len(item.text):
            self._history.shorten(item, text)
            self._ask(HistoryChanged(self._history.messages()))
