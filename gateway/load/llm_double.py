"""A stand-in for a language model: OpenAI-compatible, as slow as a real one, new words each time.

    python -m gateway.load.llm_double --port 9000 --first-token-ms 300 --token-ms 30

It understands nothing.  Every answer is another one, so that no synthesizer can take it from its
cache; a gateway in front of a real model says new sentences too.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import re
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

_OPENINGS = (
    "Sure",
    "Of course",
    "All right",
    "Certainly",
    "Yes",
    "Very well",
    "Okay",
    "No problem",
)
_THINGS = ("order", "table", "parcel", "delivery", "cake", "coffee", "breakfast", "invoice")
_STATES = ("is ready", "is on its way", "is being prepared", "was changed", "is waiting for you")
_PLACES = ("at the counter", "in the back", "by the door", "at the window", "on the first floor")
_CLOSINGS = (
    "Is there anything else?",
    "Shall I note anything else?",
    "Would you like more?",
    "Can I help with something else?",
)
_MODEL = "double"


def reply_words(number: int) -> list[str]:
    """Return the tokens (words with the space before them) of the so-manieth answer.  Pure."""
    draw = random.Random(number)  # noqa: S311 - repeatable, not secret
    text = (
        f"{draw.choice(_OPENINGS)}, your {draw.choice(_THINGS)} number {draw.randrange(11, 999)} "
        f"{draw.choice(_STATES)} {draw.choice(_PLACES)}. {draw.choice(_CLOSINGS)}"
    )
    return re.findall(r"\s*\S+", text)


def create_app(first_token_ms: float, token_ms: float) -> FastAPI:
    """Build the server; the numbers are what a caller has to wait for."""
    app = FastAPI(title="LLM double")
    numbers = itertools.count()

    @app.get("/v1/models")
    async def models() -> Response:
        model = {"id": _MODEL, "object": "model", "created": 0, "owned_by": "load"}
        return JSONResponse({"object": "list", "data": [model]})

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        words = reply_words(next(numbers))
        if not body.get("stream"):
            await asyncio.sleep((first_token_ms + token_ms * len(words)) / 1000)
            return JSONResponse(_completion(words))
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        events = _stream(words, first_token_ms / 1000, token_ms / 1000, with_usage=usage)
        return StreamingResponse(events, media_type="text/event-stream")

    return app


async def _stream(
    words: list[str], first_s: float, token_s: float, *, with_usage: bool
) -> AsyncIterator[bytes]:
    """Yield the answer as server-sent events, each token at its own deadline."""
    loop = asyncio.get_running_loop()
    due_s = loop.time() + first_s
    for word in words:
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        yield _event({"content": word})
        due_s += token_s
    yield _event({}, "stop")
    if with_usage:
        counts = {"prompt_tokens": 50, "completion_tokens": len(words)}
        yield _data(_chunk([]) | {"usage": counts | {"total_tokens": 50 + len(words)}})
    yield b"data: [DONE]\n\n"


def _event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    return _data(_chunk([{"index": 0, "delta": delta, "finish_reason": finish_reason}]))


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": _MODEL}
    return head | {"choices": choices}


def _completion(words: list[str]) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": _MODEL}
    return head | {"choices": [choice]}


def _data(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def main() -> None:
    """Serve on 127.0.0.1 until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m gateway.load.llm_double", description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--first-token-ms", type=float, default=300.0)
    parser.add_argument("--token-ms", type=float, default=30.0)
    given = parser.parse_args()
    app = create_app(given.first_token_ms, given.token_ms)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
