"""`gateway call`: ask the running gateway to place a call and tell how it goes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from gateway.api_keys import KEY_ENV, own_key
from gateway.config.models import HttpConfig
from gateway.errors import GatewayError
from gateway.setup.loader import load_config

POLL_S = 0.5
TIMEOUT_S = 10.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound

Ask = Callable[[str, str, dict[str, Any] | None], dict[str, Any]]
"""(method, path, body) -> reply body."""


def run(config_path: Path | None, to: str, agent: str, trunk: str) -> int:
    """Place the call and follow it to its end; an interrupt hangs up.

    Returns:
        0 when the call was answered, else 1.

    Raises:
        GatewayError: no gateway is running there, or it refuses.
    """
    ask = client(load_config(config_path).http)
    call_id = ask("POST", "/v1/calls", {"to": to, "agent": agent, "trunk": trunk})["call_id"]
    _say(f"{call_id}  calling {to}")
    try:
        return asyncio.run(_follow(ask, call_id))
    except KeyboardInterrupt:
        ask("POST", f"/v1/calls/{call_id}/hangup", {})
        _say("hung up")
        return 130


def client(http: HttpConfig) -> Ask:
    """Make the function that talks to the gateway of this configuration."""
    host = _ANY_ADDRESS.get(http.bind, http.bind)
    base = f"http://{f'[{host}]' if ':' in host else host}:{http.port}"
    key = _key(http)
    opener = build_opener(ProxyHandler({}))  # the gateway is ours: no proxy is asked

    def ask(method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        request = Request(base + path, method=method)  # noqa: S310 - always http
        request.add_header("Content-Type", "application/json")
        if key:
            request.add_header("Authorization", f"Bearer {key}")
        request.data = None if body is None else json.dumps(body).encode()
        try:
            with opener.open(request, timeout=TIMEOUT_S) as reply:
                answer: dict[str, Any] = json.loads(reply.read() or b"{}")
                return answer
        except HTTPError as error:
            raise GatewayError(_refusal(error)) from error
        except (URLError, OSError, HTTPException) as error:
            why = getattr(error, "reason", error)
            raise GatewayError(
                f"no gateway answers at {base}: {why}; start `gateway run`"
            ) from error
        except ValueError as error:
            raise GatewayError(f"{base}{path}: the answer is not JSON") from error

    return ask


def _key(http: HttpConfig) -> str | None:
    key = own_key([entry.get_secret_value() for entry in http.api_keys], os.environ)
    if key is None and http.api_keys:
        raise GatewayError(f"[http] api_keys holds only hashes: set {KEY_ENV} to the key")
    return key


async def _follow(ask: Ask, call_id: str) -> int:
    is_answered, told = False, 0
    while True:
        call = ask("GET", f"/v1/calls/{call_id}", None)
        is_over = call["state"] != "active"
        if call["answered_at"] and not is_answered:
            is_answered = True
            _say(f"{call_id}  answered, codec {call['codec'] or 'unknown'}")
        # The last turn may still grow: it is told when another follows or the call is over.
        whole = call["turns"] if is_over else call["turns"][:-1]
        for turn in whole[told:]:
            _tell(turn)
        told = max(told, len(whole))
        if is_over:
            return _end(call)
        await asyncio.sleep(POLL_S)


def _tell(turn: dict[str, Any]) -> None:
    for speaker, key in (("caller", "caller_text"), ("bot", "bot_text_heard")):
        if text := turn[key]:
            _say(f"  {speaker + ':':7} {text}")


def _end(call: dict[str, Any]) -> int:
    how = (call["end_reason"] or "ended").replace("_", " ")
    text = f" ({call['end_text']})" if call["end_text"] else ""
    talk_s = f" after {call['talk_s']:.1f} s" if call["talk_s"] else ""
    _say(f"{call['call_id']}  {how}{text}{talk_s}")
    return 0 if call["answered_at"] else 1


def _refusal(error: HTTPError) -> str:
    try:
        return f"refused: {json.loads(error.read())['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"refused: HTTP {error.code} {error.reason}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
