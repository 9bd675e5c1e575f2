"""A double of Anthropic's Messages API, judged by the types of the `anthropic` SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from pydantic import TypeAdapter

from tests.support.llm_server import Answer
from tests.support.native_models import (
    KEY,
    NativeServer,
    assert_typed,
    parts_of,
    pieces_of,
    tokens_in,
)
from tests.support.vendor_types import assert_only_known

_REQUEST: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
Json = dict[str, Any]


class AnthropicServer(NativeServer):
    reply_path = "/messages"
    key_header, key = "x-api-key", KEY
    wrong_key = Answer(status=401, error={"type": "authentication_error", "message":
                                          f"invalid x-api-key {KEY}"})  # fmt: skip
    quota = Answer(status=400, error={"type": "invalid_request_error", "message":
                   "Your credit balance is too low to access the Anthropic API."})  # fmt: skip
    busy = Answer(text="a b c", error_after=5, error={"type": "overloaded_error",
                                                      "message": "Overloaded"})  # fmt: skip

    def judge(self, body: Json) -> None:
        # Older models take a temperature, which the types no longer have.
        assert_typed(_REQUEST, {key: body[key] for key in body if key != "temperature"})
        if missing := {"model", "max_tokens", "messages"} - set(body):
            raise ValueError(f"Field required: {missing}")
        roles = [message["role"] for message in body["messages"]]
        if any(a == b for a, b in pairwise(roles)) or {roles[0], roles[-1]} != {"user"}:
            raise ValueError(f"roles must alternate, the first and last be the user's: {roles}")
        marks = json.dumps(body).count('"cache_control"')
        if marks > 4:
            raise ValueError(f"a maximum of 4 blocks with cache_control, found {marks}")
        _judge_blocks(body)
        _judge_thinking(body)

    def error_body(self, answer: Answer) -> Json:
        return self.error_event(answer) | {"request_id": "req_1"}

    def error_event(self, answer: Answer) -> Json:
        error = answer.error or {"type": "api_error", "message": f"scripted {answer.status}"}
        return {"type": "error", "error": error}

    def encoded(self, event: Json) -> bytes:
        return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()

    def models(self) -> Json:
        model = {"type": "model", "id": "test", "display_name": "Test"}
        return {"data": [model], "has_more": False, "first_id": "test", "last_id": "test"}

    def events_of(self, body: Json, answer: Answer) -> Iterator[Json]:
        for event in self._streamed(body, answer):
            if event["type"] != "ping":
                assert_only_known(_EVENT.validate_python(event))
            yield event

    def _streamed(self, body: Json, answer: Answer) -> Iterator[Json]:
        blocks = list(self._blocks(body, answer))
        usage = {
            "input_tokens": tokens_in(body) - self.cached,
            "output_tokens": 1,
            "cache_read_input_tokens": self.cached,
            "cache_creation_input_tokens": 0,
        }
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
        message |= {"model": body["model"], "stop_reason": None, "stop_sequence": None}
        yield {"type": "message_start", "message": message | {"usage": usage}}
        yield {"type": "ping"}
        for index, (start, deltas) in enumerate(blocks):
            yield {"type": "content_block_start", "index": index, "content_block": start}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        reason = "refusal" if answer.refusal else "tool_use" if answer.calls else "end_turn"
        delta = {"stop_reason": answer.finish_reason or reason, "stop_sequence": None}
        written = sum(len(deltas) for _, deltas in blocks)
        yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": written}}
        yield {"type": "message_stop"}

    def _blocks(self, body: Json, answer: Answer) -> Iterator[tuple[Json, list[Json]]]:
        if answer.thoughts:
            thoughts = pieces_of(answer.thoughts)
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in thoughts]
            deltas.append({"type": "signature_delta", "signature": "c2ln"})
            yield {"type": "thinking", "thinking": "", "signature": ""}, deltas
        said = "".join(block.get("text", "") for block in body["messages"][-1]["content"])
        if text := self.words(answer, said):
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces_of(text)]
            yield {"type": "text", "text": ""}, deltas
        for call in answer.calls:
            start = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            parts = parts_of(call.arguments)
            yield start, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def _judge_blocks(body: Json) -> None:
    open_calls: list[str] = []
    for message in body["messages"]:
        blocks = message["content"]
        if any(not block.get("text", "x").strip() for block in blocks):
            raise ValueError("text content blocks must contain non-whitespace text")
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if results != open_calls or any("tool_use_id" in b for b in blocks[len(results) :]):
            raise ValueError("each tool_use must have its tool_result first in the next message")
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]


def _judge_thinking(body: Json) -> None:
    if body.get("thinking", {}).get("type") != "enabled":
        return
    if body["thinking"]["budget_tokens"] >= body["max_tokens"]:
        raise ValueError("max_tokens must be greater than thinking.budget_tokens")
    if len(body["messages"]) < 2 or body["messages"][-1]["content"][0]["type"] != "tool_result":
        return
    if body["messages"][-2]["content"][0]["type"] not in {"thinking", "redacted_thinking"}:
        raise ValueError("Expected `thinking` or `redacted_thinking`, but found `tool_use`")
