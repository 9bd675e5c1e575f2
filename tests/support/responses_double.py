"""A double of OpenAI's Responses API, judged by the types of the `openai` SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from openai.types.responses import ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import TypeAdapter

from tests.support.llm_server import CREATED, Answer
from tests.support.native_models import NativeServer, assert_typed, parts_of, pieces_of, tokens_in
from tests.support.vendor_types import assert_only_known

_REQUEST: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsStreaming)
_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
Json = dict[str, Any]


class ResponsesServer(NativeServer):
    reply_path = "/responses"
    quota = Answer(status=429, error={"code": "insufficient_quota", "message": "pay first"})
    busy = Answer(text="a b c", error_after=6, error={"code": "server_error", "message": "broken"})

    def judge(self, body: Json) -> None:
        assert_typed(_REQUEST, body)
        if body.get("store") is not False:
            raise ValueError("nothing may be kept")
        open_calls: set[str] = set()
        for item in body["input"]:
            match item.get("type"):
                case "function_call":
                    open_calls.add(item["call_id"])
                    json.loads(item["arguments"])
                case "function_call_output":
                    if item["call_id"] not in open_calls:
                        raise ValueError(f"No tool call found for {item['call_id']}")
                    open_calls.remove(item["call_id"])
        if open_calls:
            raise ValueError(f"No tool output found for function call {open_calls}")

    def error_event(self, answer: Answer) -> Json:
        error = {"param": None, "sequence_number": 9} | answer.error
        return {"type": "error", **error}

    def encoded(self, event: Json) -> bytes:
        return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()

    def events_of(self, body: Json, answer: Answer) -> Iterator[Json]:
        for number, event in enumerate(self._streamed(body, answer)):
            numbered = event | {"sequence_number": number}
            assert_only_known(_EVENT.validate_python(numbered))
            yield numbered

    def _streamed(self, body: Json, answer: Answer) -> Iterator[Json]:
        yield {"type": "response.created", "response": _response(body, "in_progress")}
        yield {"type": "response.in_progress", "response": _response(body, "in_progress")}
        place = 0
        if answer.thoughts:
            yield from _reasoning(place, answer.thoughts)
            place += 1
        text = answer.refusal or self.words(answer, str(body["input"][-1].get("content", "")))
        if text:
            yield from _message(place, text, is_refusal=bool(answer.refusal))
            place += 1
        for index, call in enumerate(answer.calls, place):
            item = {"type": "function_call", "id": f"fc_{index}", "call_id": call.id}
            item |= {"name": call.name, "arguments": "", "status": "in_progress"}
            where = {"item_id": f"fc_{index}", "output_index": index}
            yield {"type": "response.output_item.added", "output_index": index, "item": item}
            for part in parts_of(call.arguments):
                yield {"type": "response.function_call_arguments.delta", **where, "delta": part}
            yield {"type": "response.function_call_arguments.done", **where,
                   "arguments": call.arguments}  # fmt: skip
            item = item | {"arguments": call.arguments, "status": "completed"}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        state = "incomplete" if answer.finish_reason else "completed"
        response = _response(body, state)
        written = len(pieces_of(text))
        read = tokens_in(body)
        response["usage"] = {
            "input_tokens": read, "output_tokens": written, "total_tokens": read + written,
            "input_tokens_details": {"cached_tokens": self.cached, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }  # fmt: skip
        if answer.finish_reason:
            response["incomplete_details"] = {"reason": answer.finish_reason}
        yield {"type": f"response.{state}", "response": response}


def _message(place: int, text: str, *, is_refusal: bool) -> Iterator[Json]:
    item: Json = {"type": "message", "id": f"msg_{place}", "role": "assistant", "content": []}
    item["status"] = "in_progress"
    yield {"type": "response.output_item.added", "output_index": place, "item": item}
    where = {"item_id": item["id"], "output_index": place, "content_index": 0}
    kind, key = ("refusal", "refusal") if is_refusal else ("output_text", "text")
    part: Json = {"type": kind, key: ""} | ({} if is_refusal else {"annotations": []})
    yield {"type": "response.content_part.added", **where, "part": part}
    logs = {} if is_refusal else {"logprobs": []}
    for piece in pieces_of(text):
        yield {"type": f"response.{kind}.delta", **where, "delta": piece, **logs}
    yield {"type": f"response.{kind}.done", **where, key: text, **logs}
    yield {"type": "response.content_part.done", **where, "part": part | {key: text}}
    item = item | {"content": [part | {key: text}], "status": "completed"}
    yield {"type": "response.output_item.done", "output_index": place, "item": item}


def _reasoning(place: int, thoughts: str) -> Iterator[Json]:
    item: Json = {"type": "reasoning", "id": "rs_1", "summary": []}
    yield {"type": "response.output_item.added", "output_index": place, "item": item}
    where = {"item_id": "rs_1", "output_index": place, "summary_index": 0}
    for piece in pieces_of(thoughts):
        yield {"type": "response.reasoning_summary_text.delta", **where, "delta": piece}
    yield {"type": "response.reasoning_summary_text.done", **where, "text": thoughts}
    done = item | {"summary": [{"type": "summary_text", "text": thoughts}]}
    done["encrypted_content"] = "Z2VoZWlt"
    yield {"type": "response.output_item.done", "output_index": place, "item": done}


def _response(body: Json, status: str) -> Json:
    return {
        "id": "resp_1", "object": "response", "created_at": CREATED, "status": status,
        "model": body["model"], "output": [], "parallel_tool_calls": True, "tool_choice": "auto",
        "tools": [], "error": None, "incomplete_details": None, "instructions": None,
        "metadata": {}, "temperature": 1.0, "top_p": 1.0,
    }  # fmt: skip
