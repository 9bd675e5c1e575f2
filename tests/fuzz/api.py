"""The HTTP API: requests made from its own OpenAPI description, right and wrong, and raw bytes."""

from __future__ import annotations

import json
import random
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote

import httpx

from tests.fuzz.figures import Figures
from tests.fuzz.hostile import mutate

LEFT_OUT = ("/v1/drain", "/v1/reload")
"""They end or change the gateway, which is what they are for."""
_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**31, 2**63, 2**64, 1e308, 0.1, "", " ", "x" * 5000, "\x00", "\ud800",
    "\u202e", "..", "../../etc/passwd", "%2e%2e%2f", "{}", "${HOME}", "' OR 1=1 --", "<script>",
    "sip:x@127.0.0.1:9", "sip:x@127.0.0.1?Replaces=a", "+49", "*21#", [], {}, [[[]]],
    {"a": {"b": 1}}, ["x"] * 100, "\r\nX: y", "20260101-000000-00000000",
)  # fmt: skip


_NUMBERS = (0, 1, 50, 1000, 1001, -1, 2**40)
_LETTERS = "abcXYZ019 +*#:@.-\xe9\u4e2d"


class Description:
    """The OpenAPI document, read as a source of requests."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self.operations = [
            (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            if path not in LEFT_OUT
            for method, operation in methods.items()
        ]

    def value(self, schema: dict[str, Any], chance: random.Random, depth: int = 4) -> Any:
        """Make something that mostly fits a schema."""
        if chance.random() < 0.15 or depth == 0:
            return chance.choice(_ODD)
        schema = self._resolved(schema, chance)
        if "enum" in schema:
            return chance.choice(schema["enum"])
        if schema.get("examples") and chance.random() < 0.7:
            return chance.choice(schema["examples"])
        make = {
            "object": self._table,
            "array": self._list,
            "integer": lambda _schema, chance, _depth: chance.choice(_NUMBERS),
            "number": lambda _schema, chance, _depth: chance.choice(_NUMBERS),
            "boolean": lambda _schema, chance, _depth: chance.random() < 0.5,
        }.get(schema.get("type", ""), _text)
        return make(schema, chance, depth - 1)

    def _resolved(self, schema: dict[str, Any], chance: random.Random) -> dict[str, Any]:
        """Follow references, choose among alternatives."""
        while True:
            several = next((schema[k] for k in ("anyOf", "allOf", "oneOf") if k in schema), None)
            if "$ref" in schema:
                name = schema["$ref"].rpartition("/")[2]
                schema = self._document["components"]["schemas"][name]
            elif several:
                schema = chance.choice(several)
            else:
                return schema

    def _table(self, schema: dict[str, Any], chance: random.Random, depth: int) -> Any:
        fields = schema.get("properties", {})
        made = {key: self.value(below, chance, depth) for key, below in fields.items()}
        kept = {key: value for key, value in made.items() if chance.random() < 0.9}
        return kept | ({"odd": chance.choice(_ODD)} if chance.random() < 0.1 else {})

    def _list(self, schema: dict[str, Any], chance: random.Random, depth: int) -> Any:
        items = schema.get("items", {})
        return [self.value(items, chance, depth) for _ in range(chance.randrange(3))]


def _text(_schema: dict[str, Any], chance: random.Random, _depth: int) -> str:
    return "".join(chance.choice(_LETTERS) for _ in range(chance.randrange(20)))


def fuzz_http(port: int, seconds: float, seed: int) -> Figures:
    """Requests by the description, and every tenth as damaged bytes."""
    figures, chance = Figures("http"), random.Random(seed)
    begun = time.monotonic()
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
        described = Description(client.get("/openapi.json").json())
        ids = _call_ids(client)
        for request in _requests(described, ids, client, chance):
            if time.monotonic() - begun > seconds:
                break
            figures.count(request.content + str(request.url).encode())
            if chance.random() < 0.1:
                _raw(port, request, chance, figures)
                continue
            with suppress(httpx.ReadTimeout), closing(client.send(request, stream=True)) as answer:
                if answer.headers.get("content-type", "").startswith("text/event-stream"):
                    figures.answers["stream"] += 1  # it has no end
                    continue
                answer.read()
                _check(answer, described, figures)
    figures.seconds = time.monotonic() - begun
    return figures


def _requests(
    described: Description, ids: list[str], client: httpx.Client, chance: random.Random
) -> Iterator[httpx.Request]:
    while True:
        method, path, operation = chance.choice(described.operations)
        query: dict[str, str] = {}
        for parameter in operation.get("parameters", []):
            value = described.value(parameter["schema"], chance)
            if parameter["in"] == "path":
                known = chance.choice(ids) if ids and chance.random() < 0.6 else str(value)
                path = path.replace(
                    f"{{{parameter['name']}}}", quote(known, safe="", errors="replace")
                )
            elif chance.random() < 0.7:
                query[parameter["name"]] = str(value).encode("utf-8", "replace").decode()
        kind = chance.choice(("application/json",) * 9 + ("text/plain",))
        content = b""
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body:
            content = json.dumps(described.value(body["schema"], chance)).encode()
            if chance.random() < 0.1:
                content = mutate(content, chance)
        if chance.random() < 0.03:
            method = chance.choice(("PUT", "PATCH", "TRACE", "BREW", "OPTIONS", "HEAD"))
        with suppress(httpx.InvalidURL):
            yield client.build_request(
                method, path or "/", params=query, content=content,
                headers={"Content-Type": kind},
            )  # fmt: skip


def _check(answer: httpx.Response, described: Description, figures: Figures) -> None:
    figures.answers[str(answer.status_code)] += 1
    what = f"{answer.request.method} {answer.request.url} -> {answer.status_code}"
    if answer.status_code == 500 or answer.status_code > 504:
        figures.fault(f"{what}: {answer.request.content[:300]!r}")
    is_error = answer.status_code >= 400 and answer.request.method != "HEAD"
    if is_error and not answer.url.path.startswith(("/readyz", "/openapi", "/docs")):
        try:
            error = answer.json()["error"]
            assert error["code"]
            assert error["message"]
        except (ValueError, KeyError, TypeError, AssertionError):
            figures.fault(f"{what}: not our form of error: {answer.text[:200]!r}")


def _raw(port: int, request: httpx.Request, chance: random.Random, figures: Figures) -> None:
    """The same request as damaged bytes on a connection of its own."""
    head = f"{request.method} {request.url.raw_path.decode()} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    data = mutate(head.encode("utf-8", "replace") + b"\r\n" + request.content, chance)
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
        peer.sendall(data)
        peer.settimeout(0.05)
        found = re.match(rb"HTTP/1\.1 (\d{3})", peer.recv(4096))
        status = found[1].decode() if found else "none"
        figures.answers[f"raw {status}"] += 1
        if status == "500":
            figures.fault(f"raw request answered 500: {data[:300]!r}")


def _call_ids(client: httpx.Client) -> list[str]:
    return [call["call_id"] for call in client.get("/v1/calls").json()["calls"]]
