"""A person is deleted: whatever state the index is in, all that exists afterwards is searched."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive import make_call
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, eventually, live_gateway
from tests.support.llm_server import Answer, LlmServer
from tests.support.outside import calling

NUMBER = "4930777123456"
WORDS = "zebra marmalade"
CONFIG = {
    "log": {"format": "json", "level": "info"},
    "agents": {"desk": {"greeting": f"Good morning, {WORDS}."}},
    "records": {"directory": "calls"},
}

pytestmark = pytest.mark.timeout(300)


def traces(folder: Path) -> list[str]:
    """Every file below the gateway's folder that still says who it was, or what was said."""
    marks = [NUMBER.encode(), *(word.encode() for word in WORDS.split())]
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "gateway.toml":
            content = path.read_bytes()
            found += [f"{path.relative_to(folder)}: {m!r}" for m in marks if m in content]
    return found


def delete(gateway: LiveGateway) -> tuple[int, object]:
    answer = gateway.ask("POST", "/v1/calls/delete", {"party": NUMBER})
    return answer.status_code, answer.json()


async def call(gateway: LiveGateway) -> str:
    async with calling(gateway.uri(), user=NUMBER) as phone:
        await phone.bot_is_done()
    record = await gateway.finished(phone.sip_call_id)
    return str(record["call_id"])


def test_nothing_of_a_person_is_left_and_success_is_only_told_then(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    database = folder / "calls" / "calls.sqlite"
    others = [make_call(folder / "calls") for _ in range(20)]
    for number in range(150):  # many pages, so that rows move between them
        make_call(
            folder / "calls", audio=False, caller=NUMBER if number % 3 else f"49{number}",
            agent="x" * number,
        )  # fmt: skip
    with live_gateway(folder, CONFIG) as gateway:
        asyncio.run(call(gateway))
        assert any("calls.sqlite" in trace for trace in traces(folder))

        # Another program has the index locked: tickets wait, and the clerk is in back-off.
        with sqlite3.connect(database, isolation_level=None) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            late = make_call(folder / "calls", caller=NUMBER)
            asyncio.run(eventually(lambda: gateway.logged("call_index_behind"), 30, "a back-off"))
            status, body = delete(gateway)
            assert status == 503, body
            assert any((folder / "calls").glob(f"*/{late}"))
            lock.execute("ROLLBACK")
        lock.close()

        # Somebody reads the index: its write-ahead file keeps what was deleted.
        reader = sqlite3.connect(database, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calls").fetchone()
        status, body = delete(gateway)
        assert status == 503, body
        assert "write-ahead" in body["error"]["message"]
        reader.close()

        # A database that was set aside holds what nobody can search.
        (folder / "calls" / "calls.broken").write_bytes(b"SQLite format 3\0" + NUMBER.encode())
        call_id = asyncio.run(call(gateway))
        assert delete(gateway) == (200, {"deleted": 1})
        assert traces(folder) == []
        assert gateway.ask("GET", f"/v1/calls/{call_id}").status_code == 404
        assert {r["call_id"] for r in gateway.records()} >= set(others)
        assert len(gateway.records()) == 20 + 50
    assert traces(folder) == []


def test_a_bundle_that_nobody_can_read_is_searched_too(tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    torn = make_call(folder / "calls", caller=NUMBER)
    bundle = next((folder / "calls").glob(f"*/{torn}"))
    (bundle / "call.json").write_bytes((bundle / "call.json").read_bytes()[:400])
    with live_gateway(folder, CONFIG) as gateway:
        assert delete(gateway)[0] == 200
        assert traces(folder) == []


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room: those of sockets in it end at 107 characters."""
    with tempfile.TemporaryDirectory(prefix="t", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def test_what_a_person_has_spent_at_language_models_is_forgotten(short_path: Path) -> None:
    folder, temporary = short_path / "gateway", short_path / "tmp"
    temporary.mkdir()
    port = free_port()
    desk = CONFIG["agents"]["desk"] | {
        "llm": {"provider": "openai", "model": "m", "base_url": f"http://127.0.0.1:{port}/v1"},
        "llm_limits": {"requests_per_caller_day": 50},
    }

    def callers() -> set[str]:
        (ledger,) = temporary.glob("*/llm.json")
        return set(json.loads(ledger.read_text() or "{}")) - {"all"}

    async def speak(number: str) -> None:
        async with (
            LlmServer(Answer(text="Yes."), port=port) as server,
            calling(gateway.uri(), user=number) as phone,
        ):
            await phone.bot_is_done()
            await phone.say("Are you open tomorrow?")
            async with asyncio.timeout(20):
                await server.until(lambda: bool(server.completions))
            await phone.bot_is_done(since_ns=phone.listener.last_ns or 0)
        await gateway.finished(phone.sip_call_id)

    config = CONFIG | {"agents": {"desk": desk}}
    with live_gateway(folder, config, {"TMPDIR": str(temporary)}) as gateway:
        asyncio.run(speak("4930999"))
        others = callers()
        asyncio.run(speak(NUMBER))
        assert len(callers()) == 2
        assert delete(gateway) == (200, {"deleted": 1})
        assert callers() == others
        assert not [trace for trace in traces(short_path) if NUMBER in trace]
