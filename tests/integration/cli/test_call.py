"""`gateway call` as a process of its own against the real API with a scripted gateway behind it."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.models import HttpConfig
from gateway.errors import CallNotFound, CommandError
from gateway.http.api import create_app
from gateway.http.server import bind_http, serve
from gateway.records.model import CallRecord, TurnRecord

ROOT = Path(__file__).parents[3]
CALL = "20261120-132233-9f03ab7c"
NOW = datetime(2026, 11, 20, 13, 22, 33, tzinfo=UTC)
KEY = "s3cret"
DEADLINE_S = 30


def record(**values) -> CallRecord:
    return CallRecord(call_id=CALL, direction="out", started_at=NOW, **values)


HELLO = TurnRecord(index=0, bot_text_heard="Hello.")
ORDER = TurnRecord(index=1, caller_text="Two teas.", bot_text_heard="Two")
RINGING = record()
TALKING = record(answered_at=NOW, codec="PCMU", turns=(HELLO,))
ORDERED = record(answered_at=NOW, codec="PCMU", turns=(HELLO, ORDER))
OVER = record(
    answered_at=NOW,
    codec="PCMU",
    turns=(HELLO, ORDER.model_copy(update={"bot_text_heard": "Two teas."})),
    state="finished",
    end_reason="caller_hung_up",
    talk_s=12.34,
)
BUSY = record(state="finished", end_reason="busy", end_text="486 Busy Here")


class Gateway:
    """Shows one record after the other; the last stays."""

    def __init__(self, *records: CallRecord) -> None:
        self.told: list[tuple[str, ...]] = []
        self.is_asked = asyncio.Event()
        self._records: Iterator[CallRecord] = iter(records)
        self._shown = records[0] if records else None

    async def place_call(
        self,
        to: str,
        agent: str,
        trunk: str,
        variables: dict[str, str] | None = None,
        caller_id: str = "",
    ) -> str:
        self.told.append(("place", to, agent, trunk))
        if agent == "nobody":
            raise CommandError(422, "there is no agent nobody")
        return CALL

    async def get_call(self, call_id: str) -> CallRecord:
        self.is_asked.set()
        self._shown = next(self._records, self._shown)
        if self._shown is None:
            raise CallNotFound(404, call_id)
        return self._shown

    async def hang_up(self, call_id: str) -> None:
        self.told.append(("hang up", call_id))


async def start_call(folder: Path, config: str, *arguments: str) -> asyncio.subprocess.Process:
    (folder / "gateway.toml").write_text(config)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "call", "sip:bob@127.0.0.1", *arguments,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "http_proxy": "http://127.0.0.1:1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def call(
    folder: Path, gateway: Gateway, *arguments: str, interrupt: bool = False
) -> tuple[int | None, str, str]:
    """Serve the gateway, run the command, give its exit code, output and complaints."""
    http = HttpConfig.model_validate({"port": 1, "api_keys": [KEY]})
    listener = bind_http(http.model_copy(update={"port": 0}))
    port = listener.getsockname()[1]
    config = f'[http]\nport = {port}\napi_keys = ["{KEY}"]\n'
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        server = group.create_task(serve(create_app(gateway, http), http, listener))
        process = await start_call(folder, config, *arguments)
        if interrupt:
            await gateway.is_asked.wait()
            process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        server.cancel()
    return process.returncode, out.decode(), err.decode()


def test_a_call_is_followed_to_its_end(tmp_path):
    async def scenario():
        gateway = Gateway(RINGING, TALKING, ORDERED, OVER)
        assert await call(tmp_path, gateway, "--agent", "a") == (
            0,
            f"{CALL}  calling sip:bob@127.0.0.1\n"
            f"{CALL}  answered, codec PCMU\n"
            "  bot:    Hello.\n"
            "  caller: Two teas.\n"
            "  bot:    Two teas.\n"
            f"{CALL}  caller hung up after 12.3 s\n",
            "",
        )
        assert gateway.told == [("place", "sip:bob@127.0.0.1", "a", "")]

    asyncio.run(scenario())


def test_a_call_that_is_not_answered_fails(tmp_path):
    async def scenario():
        code, out, err = await call(tmp_path, Gateway(RINGING, BUSY))
        assert (code, err) == (1, "")
        assert out.endswith(f"{CALL}  busy (486 Busy Here)\n")

    asyncio.run(scenario())


def test_an_interrupt_hangs_up(tmp_path):
    async def scenario():
        gateway = Gateway(TALKING)
        code, out, _ = await call(tmp_path, gateway, interrupt=True)
        assert code == 130
        assert out.endswith("hung up\n")
        assert gateway.told[-1] == ("hang up", CALL)

    asyncio.run(scenario())


def test_a_refusal_is_told(tmp_path):
    async def scenario():
        code, out, err = await call(tmp_path, Gateway(), "--agent", "nobody")
        assert (code, out) == (1, "")
        assert err == "gateway: refused: 422 there is no agent nobody\n"

    asyncio.run(scenario())


def test_without_a_running_gateway_there_is_a_hint(tmp_path):
    async def scenario():
        listener = bind_http(HttpConfig().model_copy(update={"port": 0}))
        port = listener.getsockname()[1]
        listener.close()
        process = await start_call(tmp_path, f"[http]\nport = {port}\n")
        out, err = await process.communicate()
        assert (process.returncode, out) == (1, b"")
        assert err.decode() == (
            f"gateway: no gateway answers at http://127.0.0.1:{port}:"
            " [Errno 111] Connection refused; start `gateway run`\n"
        )

    asyncio.run(scenario())
