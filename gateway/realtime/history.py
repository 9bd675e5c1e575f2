"""History: the items of a session in order, and the messages that a model gets of them.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.providers.contracts import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolResult,
    UserMessage,
)
from gateway.realtime.protocol.errors import ProtocolError
from gateway.realtime.protocol.items import Item

MOST_ITEMS = 4000
"""The oldest are forgotten; the model's history is shorter anyway."""
ROOT = "root"


class History:
    """The conversation as the client sees it."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._order: list[str] = []

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Item]:
        return (self._items[item_id] for item_id in self._order)

    @property
    def last_id(self) -> str | None:
        """Id of the newest item."""
        return self._order[-1] if self._order else None

    def find(self, item_id: str) -> Item | None:
        """Return an item."""
        return self._items.get(item_id)

    def append(self, item: Item) -> str | None:
        """Add at the end; return the id of the item before."""
        before = self.last_id
        self._items[item.id] = item
        self._order.append(item.id)
        if len(self._order) > MOST_ITEMS:
            del self._items[self._order.pop(0)]
        return before

    def insert(self, item: Item, previous_item_id: str | None) -> tuple[str | None, bool]:
        """Add behind another item; None = at the end, `root` = at the beginning.

        Returns:
            Id of the item before, and whether it is the last now.

        Raises:
            ProtocolError: there is one of this id already, or no item to put it behind.
        """
        if item.id in self._items:
            text = f"Item with item_id '{item.id}' already exists."
            raise ProtocolError(text, "item_create_duplicate_item_id", "item.id")
        if previous_item_id is None or previous_item_id == self.last_id:
            return self.append(item), True
        if previous_item_id == ROOT:
            at = 0
        elif previous_item_id in self._items:
            at = self._order.index(previous_item_id) + 1
        else:
            text = f"Previous item with item_id '{previous_item_id}' does not exist."
            raise ProtocolError(text, "item_create_invalid_previous_item_id", "previous_item_id")
        is_last = at == len(self._order)
        self._items[item.id] = item
        self._order.insert(at, item.id)
        return (self._order[at - 1] if at else None), is_last

    def remove(self, item_id: str) -> None:
        """Forget an item that there is."""
        del self._items[item_id]
        self._order.remove(item_id)

    def calls(self, call_id: str) -> Item | None:
        """Return the function call of this id."""
        found = (item for item in self if item.type == "function_call" and item.call_id == call_id)
        return next(found, None)

    def messages(self) -> tuple[Message, ...]:
        """Return what a model gets of all items."""
        return tuple(message for item in self for message in self.of(item))

    def of(self, item: Item) -> tuple[Message, ...]:
        """Return what a model gets of one item."""
        return item.messages or self._made_of(item)

    def _made_of(self, item: Item) -> tuple[Message, ...]:
        if item.type == "function_call":
            if self._has(_calls, item.call_id):
                return ()
            return (AssistantMessage("", (ToolCall(item.call_id, item.name, item.arguments),)),)
        if item.type == "function_call_output":
            if self._has(_answers, item.call_id):
                return ()
            call = self.calls(item.call_id)
            return (ToolResult(item.call_id, call.name if call else "", item.output),)
        if item.role == "system" or not item.text:
            return ()
        return (UserMessage(item.text) if item.role == "user" else AssistantMessage(item.text),)

    def _has(self, is_it: Callable[[Message, str], bool], call_id: str) -> bool:
        return any(is_it(message, call_id) for other in self for message in other.messages)

    def system_text(self) -> str:
        """Return what system items add to the instructions."""
        return "\n\n".join(item.text for item in self if item.role == "system" and item.text)

    def returned(self, result: ToolResult) -> None:
        """Put the result of a function where the history of the call has said that it runs."""
        for item in self:
            item.messages = tuple(
                result
                if isinstance(message, ToolResult) and message.call_id == result.call_id
                else message
                for message in item.messages
            )

    def shorten(self, item: Item, text: str) -> None:
        """Let only this text count of what an item has said."""
        for part in item.content:
            if "transcript" in part:
                part["transcript"] = text
        kept: list[Message] = []
        for message in item.messages:
            if isinstance(message, AssistantMessage):
                short = replace(message, text=text, interrupted=True)
                text = ""
                if short.text or short.tool_calls:
                    kept.append(short)
            else:
                kept.append(message)
        item.messages = tuple(kept)


def _calls(message: Message, call_id: str) -> bool:
    return isinstance(message, AssistantMessage) and any(
        call.id == call_id for call in message.tool_calls
    )


def _answers(message: Message, call_id: str) -> bool:
    return isinstance(message, ToolResult) and message.call_id == call_id


def words_until(item: Item, audio_end_ms: int) -> str:
    """Return the words of a spoken item that were over at a place of its audio, about.

    Within a stretch of words each letter counts as long as any other.
    """
    heard: list[str] = []
    ends = [begin for begin, _ in item.words[1:]] + [item.audio_ms]
    for (begin, text), end in zip(item.words, ends, strict=True):
        if audio_end_ms >= end:
            heard.append(text)
            continue
        share = (audio_end_ms - begin) / max(1, end - begin)
        letters = share * len(text)
        so_far = 0
        for word in text.split():
            so_far += len(word) + 1
            if so_far > letters:
                break
            heard.append(word)
        break
    return " ".join(heard)
