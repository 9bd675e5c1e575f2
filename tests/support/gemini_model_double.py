"""A double of Gemini's `streamGenerateContent`, judged by the types of the google-genai SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from google.genai import types

from tests.support.llm_server import Answer, Seen
from tests.support.native_models import KEY, NativeServer, pieces_of, tokens_in
from tests.support.vendor_types import assert_only_known

Json = dict[str, Any]
_SIGNATURE = "c2lnbmF0dXJl"
_TOP = {"contents", "systemInstruction", "tools", "generationConfig", "safetySettings"}


class GeminiModelServer(NativeServer):
    reply_path = ":streamGenerateContent"
    key_header, key = "x-goog-api-key", KEY
    wrong_key = Answer(status=400, error={
        "code": 400, "status": "INVALID_ARGUMENT", "message": f"API key not valid: {KEY}",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                     "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]})  # fmt: skip
    quota = Answer(status=429, error={
        "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota",
        "details": [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
            {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]})  # fmt: skip
    busy = Answer(text="a b c", error_after=2, error={
        "code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded."})  # fmt: skip

    def asks_for_a_reply(self, seen: Seen) -> bool:
        return seen.path.endswith(f"{self.reply_path}?alt=sse")

    def invalid(self, message: str) -> Json:
        return {"code": 400, "status": "INVALID_ARGUMENT", "message": message}

    def judge(self, body: Json) -> None:
        if unknown := set(body) - _TOP:
            raise ValueError(f"Unknown name {unknown}")
        system = [body["systemInstruction"]] if "systemInstruction" in body else []
        contents = [types.Content.model_validate(each) for each in (*body["contents"], *system)]
        assert_only_known(contents)
        tools = [types.Tool.model_validate(tool) for tool in body.get("tools", ())]
        assert_only_known(tools)
        assert_only_known(types.GenerationConfig.model_validate(body.get("generationConfig", {})))
        for each in body.get("safetySettings", ()):
            assert_only_known(types.SafetySetting.model_validate(each))
        for tool in body.get("tools", ()):
            for declared in tool["functionDeclarations"]:
                schema = declared.get("parametersJsonSchema", {"properties": True})
                if not schema.get("properties"):
                    raise ValueError("should be non-empty for OBJECT type")
        _judge_turns(body["contents"])
        if "gemini-3" in self.path_of_model:
            _judge_signatures(body["contents"])

    path_of_model = ""

    def complaint(self, seen: Seen) -> Answer | None:
        self.path_of_model = seen.path
        return super().complaint(seen)

    def error_event(self, answer: Answer) -> Json:
        return {"error": answer.error}

    def models(self) -> Json:
        return {"models": [{"name": "models/test", "displayName": "Test"}]}

    def encoded(self, event: Json) -> bytes:
        return f"data: {json.dumps(event)}\r\n\r\n".encode()

    def events_of(self, body: Json, answer: Answer) -> Iterator[Json]:
        for event in self._streamed(body, answer):
            assert_only_known(types.GenerateContentResponse.model_validate(event))
            yield event

    def _streamed(self, body: Json, answer: Answer) -> Iterator[Json]:
        if answer.refusal:
            feedback = {"promptFeedback": {"blockReason": answer.refusal}}
            yield feedback | {"usageMetadata": {"promptTokenCount": tokens_in(body)}}
            return
        thoughts = pieces_of(answer.thoughts)
        parts: list[Json] = [{"text": piece, "thought": True} for piece in thoughts]
        said = "".join(part.get("text", "") for part in body["contents"][-1]["parts"])
        texts = pieces_of(self.words(answer, said))
        parts += [{"text": piece} for piece in texts]
        for index, call in enumerate(answer.calls):
            made: Json = {"name": call.name, "args": json.loads(call.arguments)}
            if answer.thoughts:
                made["id"] = call.id
            signed = {"thoughtSignature": _SIGNATURE} if index == 0 else {}
            parts.append({"functionCall": made, **signed})
        read = tokens_in(body)
        for count, part in enumerate(parts, 1):
            yield self._chunk(read, [part], count)
        last = self._chunk(read, [{"text": ""}] if parts else [], len(texts))
        last["candidates"][0]["finishReason"] = answer.finish_reason or "STOP"
        yield last

    def _chunk(self, read: int, parts: list[Json], written: int) -> Json:
        usage = {"promptTokenCount": read, "candidatesTokenCount": written}
        usage |= {"totalTokenCount": read + written, "cachedContentTokenCount": self.cached}
        content = {"role": "model", "parts": parts} if parts else {}
        candidate = {"index": 0, "content": content}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "test"}


def _judge_turns(contents: list[Json]) -> None:
    """Judge what the API says of the order of turns."""
    roles = [content["role"] for content in contents]
    if any(a == b for a, b in pairwise(roles)) or {roles[0], roles[-1]} != {"user"}:
        raise ValueError(f"roles must alternate: {roles}")
    before = 0
    for content in contents:
        parts = content["parts"]
        if not parts or any(not part.get("text", "x").strip() for part in parts):
            raise ValueError("contents.parts must not be empty")
        results = sum("functionResponse" in part for part in parts)
        if results != before or (results and results != len(parts)):
            raise ValueError("as many function response parts as function call parts, and alone")
        before = sum("functionCall" in part for part in parts)


def _judge_signatures(contents: list[Json]) -> None:
    for content in contents:
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            raise ValueError("Function call is missing a thought_signature in functionCall parts")
