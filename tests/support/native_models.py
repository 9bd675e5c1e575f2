"""What the doubles of vendors' own protocols for language models share.

Each is an `LlmServer`: the same scripted answers, faults and watching of sockets.  A request that
the types of the vendor's SDK do not know, or that its rules refuse, is answered with 400 and kept
in `strange`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from tests.support.llm_server import Answer, LlmServer, Seen, echo

KEY = "sk-secret"


class NativeServer(LlmServer):
    end = b""
    key_header = "authorization"
    key = f"Bearer {KEY}"
    quota: Answer
    """How the vendor says that nothing is left."""
    wrong_key = Answer(status=401, error={"message": f"wrong key: {KEY}"})

    def __init__(self, *script: Answer, default: Answer | None = None, port: int = 0) -> None:
        super().__init__(*script, default=default, port=port)
        self.strange: list[str] = []
        """What was wrong with requests."""
        self.cached = 0
        """Tokens that it says to have read from its cache."""

    def complaint(self, seen: Seen) -> Answer | None:
        keys = (seen.headers.get(self.key_header), seen.headers.get("authorization"))
        if not {self.key, f"Bearer {KEY}"} & set(keys):
            return self.wrong_key
        if seen.method == "GET":
            return None
        try:
            self.judge(seen.body)
        except (ValidationError, ValueError) as error:
            self.strange.append(str(error))
            return Answer(status=400, error=self.invalid(str(error)))
        return None

    def invalid(self, message: str) -> dict[str, Any]:
        return {"type": "invalid_request_error", "message": message}

    def judge(self, body: dict[str, Any]) -> None:
        """Raise ValueError for what the vendor would refuse."""
        raise NotImplementedError

    def words(self, answer: Answer, said: str) -> str:
        if answer.text is not None:
            return answer.text
        if answer.calls or answer.refusal:
            return ""
        return echo({"messages": [{"role": "user", "content": said}]})


def pieces_of(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def parts_of(arguments: str) -> list[str]:
    return [arguments[at : at + 5] for at in range(0, len(arguments), 5)]


def tokens_in(body: Mapping[str, Any]) -> int:
    return len(json.dumps(body)) // 4


def assert_typed(kind: TypeAdapter[Any], body: Mapping[str, Any]) -> None:
    """Raise ValueError when a TypedDict of an SDK does not have all that is in a request."""
    known = _whole(kind.validate_python(body))
    if known != body:
        raise ValueError(f"Extra inputs are not permitted: {list(_lost(body, known))}")


def _whole(value: Any) -> Any:
    """Make the lazy parts of a validated value real; unknown keys are gone from it."""
    if isinstance(value, BaseModel):
        return _whole(value.model_dump(exclude_unset=True))
    if isinstance(value, Mapping):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return value
    return [_whole(each) for each in value]


def _lost(body: Any, known: Any, path: str = "") -> Iterator[str]:
    if isinstance(body, Mapping) and isinstance(known, Mapping):
        for key, value in body.items():
            if key not in known:
                yield f"{path}.{key}"
            else:
                yield from _lost(value, known[key], f"{path}.{key}")
    elif isinstance(body, list) and isinstance(known, list):
        for index, (value, other) in enumerate(zip(body, known, strict=False)):
            yield from _lost(value, other, f"{path}[{index}]")
