"""CallParts: tool calls put together from their deltas, for servers that know the protocol almost.

Calls without ids, with repeated ids, with every call at index 0 or none, in one piece or in fifty;
arguments as an object, as null, encoded twice, or repeated in full with every delta.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.providers.call_ids import free_call_id
from gateway.providers.contracts import ToolCall
from gateway.providers.tool_text import Call, known_name, object_of


@dataclass(slots=True)
class _OpenCall:
    id: str
    server_id: str
    name: str
    index: int | None
    parts: list[str] = field(default_factory=list)
    extra: object = None
    """What must be sent back with it, such as Gemini's signature of the thought behind it."""

    @property
    def arguments(self) -> str:
        """Return them as the model wrote them."""
        return "".join(self.parts)

    def is_complete(self) -> bool:
        return _is_json_object(self.arguments)

    def repaired(self) -> str:
        """Return the arguments as one JSON object, where one can be read out of them."""
        written = self.arguments
        if _is_json_object(written):
            return written
        found = object_of(written)
        if not found and len(self.parts) > 1:  # each part may have all that the ones before had
            found = object_of(self.parts[-1]) or found
        return written if found is None else json.dumps(found, ensure_ascii=False)


class CallParts:
    """Collects the tool calls of one reply."""

    def __init__(self, tools: Sequence[str] = ()) -> None:
        self.calls: list[_OpenCall] = []
        self._tools = tools

    def add(self, part: object) -> None:
        """Accept one element of a delta's `tool_calls`."""
        function = value_of(part, "function") or part
        name = as_text(value_of(function, "name"))
        arguments = _written(value_of(function, "arguments"))
        call_id = as_text(value_of(part, "id"))
        index = value_of(part, "index")
        index = index if isinstance(index, int) else None
        call = self._find(index, call_id, name, arguments)
        if call is None:
            call = _OpenCall(self._free_id(call_id), call_id, name, index)
            self.calls.append(call)
        call.name = call.name or name
        call.extra = value_of(part, "extra_content") or call.extra
        if arguments:
            call.parts.append(arguments)

    def add_whole(self, calls: Sequence[Call]) -> None:
        """Accept calls that were written as text; the server may have parsed them as well."""
        known = {(known_name(c.name, self._tools), c.repaired()) for c in self.calls}
        for name, arguments in calls:
            if (name, arguments) not in known:
                self.calls.append(_OpenCall(self._free_id(""), "", name, None, [arguments]))

    def finished(self) -> Iterator[ToolCall]:
        """Yield the calls that have a name, in the order in which they began."""
        for call in self.calls:
            if call.name:
                name = known_name(call.name, self._tools) or call.name
                yield ToolCall(call.id, name, call.repaired() or "{}")

    def _find(self, index: int | None, call_id: str, name: str, arguments: str) -> _OpenCall | None:
        """Return the call that a delta continues, None where it starts one."""
        same_index = [call for call in self.calls if index is None or call.index == index]
        if not same_index:
            same_id = [call for call in self.calls if call_id and call.server_id == call_id]
            return same_id[-1] if same_id and not name else None
        call = same_index[-1]
        if not (name and call.name):
            return call
        # The name comes again: either a server that repeats it with every delta, or one that gives
        # every call the same index.  Only a call that is whole can be followed by another.
        other_id = bool(call_id) and call_id != call.server_id
        if not call.arguments:
            return None if other_id or name != call.name else call
        return None if call.is_complete() and (other_id or arguments.strip()) else call

    def _free_id(self, call_id: str) -> str:
        taken = {call.id for call in self.calls}
        return free_call_id(call_id, taken.__contains__)


def value_of(thing: object, key: str) -> object:
    """Read a member of parsed JSON or of an SDK object; None when there is none."""
    if isinstance(thing, dict):
        return thing.get(key)
    return getattr(thing, key, None)


def as_text(value: object) -> str:
    """Return a text as it is, and "" for anything else."""
    return value if isinstance(value, str) else ""


def _written(arguments: object) -> str:
    if isinstance(arguments, dict):
        return json.dumps(arguments, ensure_ascii=False)
    return as_text(arguments)


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
