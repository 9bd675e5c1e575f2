"""Starts real gateways (`gateway run`) for tests: free ports, own folder, clean end."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

READY_S = 90.0
STOP_S = 30.0
_POLL_S = 0.05
_TAIL_LINES = 60
_RTP_PORTS = 80
_SAMPLE = re.compile(r"^(\w+(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)

LIGHT_VOICE = {"provider": "flite"}
"""For agents of tests that are not about the voice: the default one takes a second of processor
time to load, and more to speak.  A gateway without `[agents]`, as `default_gateway`, has that."""
DEFAULT_VOICE = {"provider": "hibari"}
running: list[GatewayUnderTest] = []
"""Every gateway that runs at this moment; `tests/conftest.py` shows their logs on a failure."""


@dataclass(slots=True)
class GatewayUnderTest:
    """A gateway that is ready for calls."""

    sip_port: int
    """UDP and TCP, on 127.0.0.1."""
    http_port: int
    records: Path
    log: Path
    config_path: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self.process.pid

    @property
    def uri(self) -> str:
        """Where to call."""
        return f"sip:test@127.0.0.1:{self.sip_port}"

    def get(self, path: str) -> str:
        """GET an HTTP path; raises `HTTPError` for an answer of 400 and above."""
        return _request(self.http_port, path)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        """POST JSON, give the JSON that comes back (None for an empty body)."""
        answer = _request(self.http_port, path, json.dumps(body or {}).encode())
        return json.loads(answer) if answer else None

    def calls(self) -> list[dict[str, Any]]:
        """Every finished `call.json`, oldest first."""
        found = [json.loads(path.read_bytes()) for path in self.records.glob("*/*/call.json")]
        finished = [call for call in found if call["state"] == "finished"]
        return sorted(finished, key=lambda call: str(call["started_at"]))

    def call_of(self, sip_call_id: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """Wait for the finished call of this Call-ID."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            found = [call for call in self.calls() if call["sip_call_id"] == sip_call_id]
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"no record\n{self.log_tail()}")

    def wait_for_call(self, timeout_s: float = 30.0, *, after: int = 0) -> dict[str, Any]:
        """Wait for one more finished call than `after`; give the newest."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            calls = self.calls()
            if len(calls) > after:
                return calls[-1]
            time.sleep(_POLL_S)
        raise AssertionError(f"no finished call within {timeout_s:g} s\n{self.log_tail()}")

    def bundle(self, call: Mapping[str, Any]) -> Path:
        """The folder of a call."""
        return next(self.records.glob(f"*/{call['call_id']}"))

    def events(self, call: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Lines of a call's `events.jsonl`."""
        text = (self.bundle(call) / "events.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def metrics(self) -> dict[str, float]:
        """Samples of `/metrics` by name and labels as printed there: `name{label="value"}`."""
        return {name: float(value) for name, value in _SAMPLE.findall(self.get("/metrics"))}

    def wait_for_metric(self, prefix: str, value: float, timeout_s: float = 10.0) -> None:
        """Wait until every sample whose name starts so has this value."""
        end = time.monotonic() + timeout_s
        while True:
            seen = {name: v for name, v in self.metrics().items() if name.startswith(prefix)}
            if seen and all(v == value for v in seen.values()):
                return
            if time.monotonic() > end:
                raise AssertionError(f"{prefix} is not {value:g} after {timeout_s:g} s: {seen}")
            time.sleep(_POLL_S)

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until `/readyz` says that calls are accepted."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            code = self.process.poll()
            if code is not None:
                raise AssertionError(f"the gateway ended, exit code {code}\n{self.log_tail()}")
            with suppress(OSError, URLError):
                self.get("/readyz")
                return
            time.sleep(_POLL_S)
        raise AssertionError(f"the gateway was not ready in {timeout_s:g} s\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(["--- log of the gateway ---", *text.splitlines()[-_TAIL_LINES:]])

    def stop(self) -> int:
        """SIGTERM, then its exit code; killed (and reported so) when that takes too long."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"it did not stop in {STOP_S:g} s\n{self.log_tail()}") from None


@contextmanager
def running_gateway(
    folder: Path,
    toml: str = "",
    environ: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> Iterator[GatewayUnderTest]:
    """Run a gateway as long as the context lasts; its end by SIGTERM must give exit code 0.

    Args:
        folder: for configuration, log and records; one gateway each.
        toml: settings merged over the default (free ports, loopback, the offline front desk).
        environ: additional environment.
        within: a command that runs it in surroundings of its own.

    Raises:
        AssertionError: it did not start or did not end properly; the log's end is in the text.
    """
    gateway = start_gateway(folder, toml, environ, within)
    running.append(gateway)
    with ExitStack() as stack:
        stack.callback(_remove, gateway)
        try:
            gateway.wait_ready()
            yield gateway
        except BaseException as error:
            error.add_note(gateway.log_tail())
            with suppress(AssertionError):
                gateway.stop()
            raise
        code = gateway.stop()
        assert code == 0, f"the gateway's exit code is {code}\n{gateway.log_tail()}"


def start_gateway(
    folder: Path,
    toml: str = "",
    environ: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> GatewayUnderTest:
    """Start a gateway and do not wait for anything; whoever calls this stops it."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = _merged(_default_settings(), tomllib.loads(toml))
    for agent in settings.get("agents", {}).values():
        if "language" not in agent:
            agent.setdefault("tts", LIGHT_VOICE)
    config_path = folder / "gateway.toml"
    config_path.write_text(to_toml(settings), encoding="utf-8")
    log = folder / "gateway.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*within, sys.executable, "-m", "gateway", "run", "--config", str(config_path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environ or {})},
        )
    records = folder / settings["records"]["directory"]
    sip_port, http_port = settings["sip"]["port"], settings["http"]["port"]
    return GatewayUnderTest(sip_port, http_port, records, log, config_path, process)


def to_toml(settings: Mapping[str, Any]) -> str:
    """Write tables of plain values (one table per top-level key) as TOML."""
    keys = [f"{key} = {_value(v)}" for key, v in settings.items() if not isinstance(v, Mapping)]
    for name, table in settings.items():
        if isinstance(table, Mapping):
            keys += [f"[{name}]", *(f"{json.dumps(k)} = {_value(v)}" for k, v in table.items())]
    return "\n".join(keys) + "\n"


def free_port() -> int:
    """A port of the loopback that is free for UDP and TCP at this moment."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            with suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


def free_rtp_ports(count: int = _RTP_PORTS) -> list[int]:
    """First and last of so many UDP ports that are free, below those the system hands out."""
    while True:
        first = random.randrange(10_000, 32_000 - count, 2)
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                udp.bind(("127.0.0.1", port))
            return [first, first + count - 1]


def _default_settings() -> dict[str, Any]:
    return {
        "sip": {"bind": "127.0.0.1", "port": free_port(), "rtp_ports": free_rtp_ports()},
        "outgoing": {"allow": ["sip:*@127.0.0.1:*"], "calls_per_minute": 100},
        "http": {"port": free_port()},
        "workers": {"drain_limit_s": 2},
        "records": {"directory": "calls"},
        "log": {"level": "debug", "format": "console"},
    }


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are merged, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        result[key] = _merged(old, value) if both else value
    return result


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _request(port: int, path: str, body: bytes | None = None) -> str:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    request = Request(f"http://127.0.0.1:{port}{path}", data=body, headers=headers)
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310 (http only)
            return str(answer.read().decode())
    except HTTPError as error:
        with error:  # else the socket of the answer is left open
            error.add_note(error.read().decode(errors="replace"))
        raise


def _remove(gateway: GatewayUnderTest) -> None:
    running.remove(gateway)
