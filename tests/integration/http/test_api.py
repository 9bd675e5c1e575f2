"""The HTTP API over real TCP: uvicorn on a free port of 127.0.0.1, asked by httpx."""

import asyncio
import re
import shlex
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config.models import Eagerness, HttpConfig
from gateway.errors import (
    CallNotFound,
    CommandError,
    ConfigError,
    NoCallSlot,
    TransferFailed,
)
from gateway.http.api import create_app
from gateway.http.event_feed import EventFeed
from gateway.http.port import DrainBody, Readiness, ReloadBody, ReplaceBody
from gateway.http.server import bind_http, serve
from gateway.records.model import CallRecord, CallSummary, TurnRecord
from gateway.records.query import CallQuery, StoredAudio
from gateway.sip.trunk_status import TrunkStatus
from gateway.webhooks.status import WebhookStatus

CALL = "20261120-132233-9f03ab7c"
OTHER = "20261120-132233-00000000"
V1 = f"/v1/calls/{CALL}"


class Gateway:
    """A gateway with one call, which writes down what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[tuple[str, ...]] = []
        self.state = Readiness(ready=True, slots=4, slots_used=1)
        self.failure: Exception | None = None
        self.stored: StoredAudio | None = None
        self.call = CallRecord(
            call_id=CALL,
            direction="in",
            caller="alice",
            started_at=datetime(2026, 11, 20, 13, 22, 33, tzinfo=UTC),
            turns=(TurnRecord(index=0, bot_text_heard="Hello."),),
        )

    async def readiness(self) -> Readiness:
        return self.state

    async def list_calls(self, query: CallQuery) -> Sequence[CallSummary]:
        self.told.append(("list", str(query.state), str(query.limit)))
        return [self.call.summary()]

    async def get_call(self, call_id: str) -> CallRecord:
        return self._known(call_id)

    async def place_call(
        self,
        to: str,
        agent: str,
        trunk: str,
        variables: dict[str, str] | None = None,
        caller_id: str = "",
    ) -> str:
        self._do(("place", to, agent, trunk))
        return OTHER

    async def hang_up(self, call_id: str) -> None:
        self._do(("hang_up", self._known(call_id).call_id))

    async def transfer(self, call_id: str, target: str) -> None:
        self._do(("transfer", self._known(call_id).call_id, target))

    async def say(self, call_id: str, text: str) -> None:
        self._do(("say", self._known(call_id).call_id, text))

    async def send_digits(self, call_id: str, digits: str) -> None:
        self._do(("dtmf", self._known(call_id).call_id, digits))

    async def set_eagerness(self, call_id: str, eagerness: Eagerness) -> None:
        self._do(("eagerness", self._known(call_id).call_id, eagerness))

    async def change_language(self, call_id: str, language: str, *, cut: bool) -> None:
        self._do(("language", self._known(call_id).call_id, language, cut))

    async def change_agent(self, call_id: str, agent: str, *, cut: bool) -> None:
        self._do(("agent", self._known(call_id).call_id, agent, cut))

    async def change_settings(self, call_id: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
        self._do(("settings", self._known(call_id).call_id, settings))
        return tuple(settings)

    async def trunks(self) -> Sequence[TrunkStatus]:
        return [TrunkStatus(name="carrier", state="failed", sip_status=403, reason="Forbidden")]

    def webhooks(self) -> Sequence[WebhookStatus]:
        return [WebhookStatus(name="crm", waiting=3, failures=2, problem="HTTP 503")]

    async def metrics_text(self) -> str:
        return "gateway_call_slots 4\n"

    async def audio(self, call_id: str) -> Path | StoredAudio:
        if self.stored is not None:
            return self.stored
        return self.folder / f"{call_id}.wav"

    async def pause_recording(self, call_id: str, *, paused: bool) -> None:
        self._do(("recording", self._known(call_id).call_id, str(paused)))

    async def delete_call(self, call_id: str) -> None:
        self._do(("delete", self._known(call_id).call_id))

    async def delete_party(self, party: str) -> int:
        self._do(("delete_party", party))
        return 2

    async def drain(self) -> DrainBody:
        return DrainBody(calls=1)

    async def reload(self) -> ReloadBody:
        return ReloadBody(changed=("sip.ring_timeout_s",))

    async def replace(self) -> ReplaceBody:
        return ReplaceBody(workers=2)

    def _do(self, what: tuple[str, ...]) -> None:
        if self.failure is not None:
            raise self.failure
        self.told.append(what)

    def _known(self, call_id: str) -> CallRecord:
        if call_id != CALL:
            raise CallNotFound(404, f"no call {call_id}")
        return self.call


def free_listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@asynccontextmanager
async def running(
    gateway: Gateway, config: HttpConfig, headers: dict[str, str]
) -> AsyncIterator[httpx.AsyncClient]:
    listener = free_listener()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        feed = EventFeed()
        feed.close()  # streams end with what is there
        task = group.create_task(serve(create_app(gateway, config, feed), config, listener))
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
            yield client
        task.cancel()


Ask = Callable[[Callable[[httpx.AsyncClient], Awaitable[None]]], None]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


@pytest.fixture
def ask(gateway: Gateway) -> Ask:
    def asked(test: Callable[[httpx.AsyncClient], Awaitable[None]], **keys: object) -> None:
        async def body() -> None:
            headers = keys.pop("headers", {})
            async with running(gateway, HttpConfig(**keys), headers) as client:
                await test(client)
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(body())

    return asked


def test_health_and_readiness(ask: Ask, gateway: Gateway) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        health = await client.get("/healthz")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        assert (await client.get("/readyz")).json()["slots"] == 4
        gateway.state = Readiness(ready=False, reason="the worker is starting")
        unready = await client.get("/readyz")
        assert (unready.status_code, unready.json()["reason"]) == (503, "the worker is starting")

    ask(test)


def test_metrics(ask: Ask) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert answer.text == "gateway_call_slots 4\n"

    ask(test)


def test_calls_are_listed_and_shown(ask: Ask, gateway: Gateway) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        (call,) = (await client.get("/v1/calls?active=true&limit=7")).json()["calls"]
        assert (call["call_id"], call["caller"]) == (CALL, "alice")
        assert "turns" not in call
        await client.get("/v1/calls")
        assert gateway.told == [("list", "active", "7"), ("list", "None", "50")]
        whole = (await client.get(V1)).json()
        assert whole["turns"][0]["bot_text_heard"] == "Hello."
        assert CallRecord.model_validate(whole) == gateway.call
        (trunk,) = (await client.get("/v1/trunks")).json()["trunks"]
        assert (trunk["state"], trunk["sip_status"]) == ("failed", 403)

    ask(test)


def test_calls_are_steered(ask: Ask, gateway: Gateway) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        placed = await client.post("/v1/calls", json={"to": "sip:bob@192.0.2.7", "agent": "desk"})
        assert (placed.status_code, placed.json()) == (201, {"call_id": OTHER})
        assert placed.headers["location"] == f"/v1/calls/{OTHER}"
        for path, body in [
            ("hangup", None),
            ("transfer", {"target": "+4930123"}),
            ("say", {"text": " Hold\nthe line. "}),
            ("dtmf", {"digits": "12a#"}),
            ("eagerness", {"eagerness": "low"}),
            ("agent", {"agent": "sales", "cut": True}),
        ]:
            answer = await client.post(f"{V1}/{path}", json=body)
            assert (answer.status_code, answer.content) == (204, b"")
        assert gateway.told == [
            ("place", "sip:bob@192.0.2.7", "desk", ""),
            ("hang_up", CALL),
            ("transfer", CALL, "+4930123"),
            ("say", CALL, "Hold the line."),
            ("dtmf", CALL, "12A#"),
            ("eagerness", CALL, "low"),
            ("agent", CALL, "sales", True),
        ]

    ask(test)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (NoCallSlot(503, "all 4 slots are taken"), 503, "no_call_slot"),
        (TransferFailed(486, "Busy Here"), 502, "transfer_failed"),
        (CommandError(422, "no agent nobody"), 422, "invalid_request"),
        (CommandError(504, "no answer from the worker"), 504, "timeout"),
        (ZeroDivisionError("inner secret"), 500, "internal_error"),
    ],
)
@pytest.mark.filterwarnings("default")
def test_failures_have_one_form(
    ask: Ask, gateway: Gateway, failure: Exception, status: int, code: str
) -> None:
    gateway.failure = failure

    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.post(f"{V1}/transfer", json={"target": "100"})
        assert answer.status_code == status
        assert set(answer.json()) == {"error"}
        assert answer.json()["error"]["code"] == code
        assert "inner secret" not in answer.text
        assert ("retry-after" in answer.headers) == (status == 503)

    ask(test)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", f"/v1/calls/{OTHER}", None, 404, "call_not_found"),
        ("POST", f"/v1/calls/{OTHER}/hangup", None, 404, "call_not_found"),
        ("GET", "/v1/calls/..%2F..%2Fetc", None, 404, "not_found"),
        ("GET", "/v1/calls/x", None, 422, "invalid_request"),
        ("GET", "/v1/calls?limit=0", None, 422, "invalid_request"),
        ("GET", "/nowhere", None, 404, "not_found"),
        ("GET", f"{V1}/hangup", None, 405, "method_not_allowed"),
        ("POST", "/v1/calls", {}, 422, "invalid_request"),
        ("POST", "/v1/calls", {"to": "sip:a@b\r\nX: y"}, 422, "invalid_request"),
        ("POST", "/v1/calls", {"to": "100", "speed": 3}, 422, "invalid_request"),
        ("POST", f"{V1}/dtmf", {"digits": "hello"}, 422, "invalid_request"),
        ("POST", f"{V1}/eagerness", {}, 422, "invalid_request"),
        ("POST", f"{V1}/agent", {"agent": ""}, 422, "invalid_request"),
        ("POST", f"{V1}/language", {"language": "german"}, 422, "invalid_request"),
        ("POST", f"/v1/calls/{OTHER}/eagerness", {"eagerness": "auto"}, 404, "call_not_found"),
        ("POST", f"{V1}/say", {"text": "x" * 3000}, 422, "invalid_request"),
        ("POST", f"{V1}/say", {"text": "x" * 70_000}, 413, "body_too_large"),
    ],
)
def test_bad_requests(
    ask: Ask, method: str, path: str, body: object, status: int, code: str
) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)

    ask(test)


def test_a_wrong_eagerness_is_told_the_right_ones(ask: Ask, gateway: Gateway) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.post(f"{V1}/eagerness", json={"eagerness": "fast"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
        message = answer.json()["error"]["message"]
        assert message == 'eagerness: must be "low", "medium", "high" or "auto"'
        assert gateway.told == []
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
        allowed = schemas["EagernessBody"]["properties"]["eagerness"]["enum"]
        assert allowed == ["low", "medium", "high", "auto"]

    ask(test)


def test_a_broken_body_and_a_chunked_one(ask: Ask, gateway: Gateway) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"to": "100"}'

    async def test(client: httpx.AsyncClient) -> None:
        kind = {"Content-Type": "application/json"}
        broken = await client.post("/v1/calls", content=b'{"to": ', headers=kind)
        assert broken.json()["error"]["code"] == "invalid_request"
        plain = await client.post(
            "/v1/calls", content=b'{"to":"100"}', headers={"Content-Type": "text/plain"}
        )
        assert plain.status_code == 422  # a web page elsewhere can send text/plain unasked
        chunked = await client.post("/v1/calls", content=chunks(), headers=kind)
        assert chunked.status_code == 411
        assert gateway.told == []

    ask(test)


def test_without_keys_other_names_and_proxies_are_refused(ask: Ask) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for headers in (
            {"Host": "evil.example"},
            {"X-Forwarded-For": "192.0.2.7"},
            {"Origin": "https://evil.example"},
            [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
            [("X_Forwarded_For", "192.0.2.7")],
        ):
            answer = await client.get("/v1/calls", headers=headers)
            assert answer.status_code == 403
            assert (await client.get("/healthz", headers=headers)).status_code == 200

    ask(test)


def test_with_keys_every_way_in_is_locked(ask: Ask, gateway: Gateway) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        for path in ("/v1/calls", "/v1/trunks", "/metrics", "/readyz", V1, "/nowhere"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "key_required")
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 200
        assert gateway.told == []
        good = {"Authorization": "Bearer k-1"}
        assert (await client.get("/v1/calls", headers=good)).status_code == 200
        assert (await client.get("/metrics", headers={"X-API-Key": "k-2"})).status_code == 200
        assert (await client.get("/metrics", headers={"X-API-Key": "k"})).status_code == 401

    ask(test, api_keys=("k-1", "k-2"))


def test_audio_may_come_from_the_store(ask: Ask, gateway: Gateway) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"RIFF"

    gateway.call = gateway.call.model_copy(update={"state": "finished"})
    gateway.stored = StoredAudio(12, chunks())

    async def test(client: httpx.AsyncClient) -> None:
        answer = await client.get(f"{V1}/audio")
        assert answer.content == b"RIFF" * 3
        assert answer.headers["content-length"] == "12"
        assert f"{CALL}.wav" in answer.headers["content-disposition"]

    ask(test)


def test_pages_filters_and_deletion(ask: Ask, gateway: Gateway) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        page = (await client.get("/v1/calls?limit=1&state=finished&since=2026-11-20T00:00Z")).json()
        assert page["next"] == CALL
        assert (await client.get("/v1/calls")).json()["next"] is None
        no_times = ("since=yesterday", "since=2026-11-20T00:00", "until=0001-01-01T00:00Z")
        for bad in ("state=lost", "colour=red", *no_times):
            assert (await client.get(f"/v1/calls?{bad}")).status_code == 422
        gateway.told.clear()
        assert (await client.post(f"{V1}/recording", json={"paused": True})).status_code == 204
        assert (await client.delete(V1)).status_code == 204
        assert (await client.delete(f"/v1/calls/{OTHER}")).status_code == 404
        told = await client.post("/v1/calls/delete", json={"party": "+4930123456"})
        assert (told.status_code, told.json()) == (200, {"deleted": 2})
        assert (await client.post("/v1/calls/delete", json={"party": ""})).status_code == 422
        assert gateway.told == [
            ("recording", CALL, "True"),
            ("delete", CALL),
            ("delete_party", "+4930123456"),
        ]
        gateway.failure = CommandError(409, f"call {CALL} is still in progress")
        busy = await client.delete(V1)
        assert (busy.status_code, busy.json()["error"]["code"]) == (409, "conflict")

    ask(test)


def test_audio_is_downloaded_when_the_call_is_over(ask: Ask, gateway: Gateway) -> None:
    (gateway.folder / f"{CALL}.wav").write_bytes(b"RIFF" + bytes(100_000))

    async def test(client: httpx.AsyncClient) -> None:
        early = await client.get(f"{V1}/audio")
        assert (early.status_code, early.json()["error"]["code"]) == (409, "conflict")
        gateway.call = gateway.call.ended(datetime.now(UTC), "caller_hung_up")
        answer = await client.get(f"{V1}/audio")
        assert answer.headers["content-type"] == "audio/wav"
        assert f"{CALL}.wav" in answer.headers["content-disposition"]
        assert len(answer.content) == 100_004

    ask(test)


def test_docs_work_offline_and_name_every_route(ask: Ask) -> None:
    async def test(client: httpx.AsyncClient) -> None:
        page = (await client.get("/docs")).text
        beginning = await client.get("/")
        assert (beginning.status_code, beginning.headers["location"]) == (307, "/docs")
        described = (await client.get("/openapi.json")).json()["paths"]
        assert {"/v1/calls", "/v1/calls/{call_id}/say", "/metrics"} <= set(described)
        assert all(path in page for path in described)
        assert "<script" not in page
        assert f"{client.base_url}/v1/calls" in page.replace("%", "")
        assert "https://" not in page

    ask(test)


def test_a_port_in_use_says_so() -> None:
    with free_listener() as other:
        config = HttpConfig(port=other.getsockname()[1])
        with pytest.raises(ConfigError, match=rf"127.0.0.1:{config.port} is in use"):
            bind_http(config)


def test_an_address_that_is_not_ours_says_so() -> None:
    for bind in ("192.0.2.7", "no.such.host.invalid"):
        with pytest.raises(ConfigError, match=f"cannot listen on {bind}:8080"):
            bind_http(HttpConfig(bind=bind))


def test_ending_the_server_frees_its_port_though_a_client_stays(gateway: Gateway) -> None:
    async def body() -> int:
        listener = free_listener()
        port = int(listener.getsockname()[1])
        config = HttpConfig(port=port)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            task = group.create_task(serve(create_app(gateway, config), config, listener))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in await reader.readline()
            task.cancel()
            await asyncio.wait([task])
            await reader.read()
            writer.close()
        bind_http(config).close()
        return port

    assert asyncio.run(body())


def printed_requests() -> list[str]:
    """Find the `curl` commands that the documentation prints, but for endless streams (`-N`)."""
    docs = Path(__file__).parents[3] / "docs"
    found = []
    for page in sorted(docs.glob("*.md")):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        found += re.findall(r"^(?:\$ )?(curl .*)$", text, re.MULTILINE)
    return sorted({command for command in found if " -N " not in command})


@pytest.mark.parametrize("command", printed_requests())
def test_a_printed_request_is_served(ask: Ask, gateway: Gateway, command: str) -> None:
    (gateway.folder / f"{CALL}.wav").write_bytes(b"RIFF")
    gateway.call = gateway.call.model_copy(update={"state": "finished"})
    words = shlex.split(command)
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    body = words[words.index("-d") + 1] if "-d" in words else None
    (url,) = [word for word in words if word.startswith("http://127.0.0.1:8080/")]

    async def test(client: httpx.AsyncClient) -> None:
        path = url.removeprefix("http://127.0.0.1:8080")
        json_type = {"Content-Type": "application/json"} if body else {}
        answer = await client.request(method, path, content=body, headers=json_type)
        assert answer.status_code // 100 == 2, answer.text

    ask(test)
