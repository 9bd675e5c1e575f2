"""Runs one folder of sipp-scenarios/ with the real SIPp and reads its expectations."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tomllib
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SCENARIOS = Path(__file__).parents[2] / "sipp-scenarios"
_GRACE_S = 2.0
_KEYWORDS = (
    "at_least", "contains", "words", "digits", "events", "count",
    "bot_silent_between", "bot_audible_after",
)  # fmt: skip
_SETTLE_S = 0.2
_AUDIBLE_RMS = 100.0


@dataclass(frozen=True, slots=True)
class SippScenario:
    """A folder: its `scenario.xml` and what `expect.toml` says."""

    name: str
    folder: Path
    expect: Mapping[str, Any]

    @property
    def is_server(self) -> bool:
        """True when SIPp is the called side or the registrar."""
        return bool(self.expect.get("role") == "uas")

    def gateway(self, port: int) -> dict[str, Any]:
        """Configuration that the gateway needs for it, `{port}` = SIPp's port filled in."""
        return _filled(self.expect.get("gateway", {}), port)

    def place_call(self, port: int) -> str:
        """URI that the gateway must call, empty when SIPp is the caller."""
        return str(self.expect.get("place_call", "")).format(port=port)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Expected call records; each table stands for `count` (1) of them."""
        one = self.expect.get("record")
        return [one] if one is not None else list(self.expect.get("records", []))


@dataclass(frozen=True, slots=True)
class SippResult:
    """How SIPp ended and what it wrote."""

    exit_code: int | None
    """0 = every call went as the scenario says; None = ended at the deadline."""
    messages: str
    """-trace_msg: every SIP message."""
    errors: str
    """-trace_err, then stderr."""
    screen: str
    """Statistics screen at the end."""

    @property
    def story(self) -> str:
        """What to show when a test fails."""
        return f"exit code {self.exit_code}\n{self.errors}\n{self.screen}\n{self.messages[-6000:]}"


def load_scenarios(root: Path = SCENARIOS) -> list[SippScenario]:
    """Every scenario folder, by name."""
    return [load_scenario(path.parent) for path in sorted(root.glob("*/scenario.xml"))]


def load_scenario(folder: Path) -> SippScenario:
    """Read one folder."""
    expect = tomllib.loads((folder / "expect.toml").read_text(encoding="utf-8"))
    return SippScenario(folder.name, folder, expect)


def is_installed() -> bool:
    """Is SIPp here (Debian package sip-tester)?"""
    return shutil.which("sipp") is not None


async def run_sipp(
    scenario: SippScenario,
    logs: Path,
    *,
    target: str = "127.0.0.1:5060",
    port: int = 0,
    media_port: int = 6000,
    control_port: int = 8888,
) -> SippResult:
    """Run SIPp to its end or its deadline; only the process started here is ever ended.

    Args:
        scenario: what to run.
        logs: existing folder for SIPp's logs.
        target: host:port of the gateway.
        port: SIPp's own SIP port, 0 = any.
        media_port: first of SIPp's RTP ports.
        control_port: SIPp's remote control; two SIPps need two.
    """
    arguments = sipp_arguments(scenario, logs, target, port, media_port, control_port)
    process = await asyncio.create_subprocess_exec(
        "sipp",
        *arguments,
        cwd=scenario.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    stderr = b""
    exit_code: int | None = None
    try:
        async with asyncio.timeout(deadline_s(scenario)):
            _, stderr = await process.communicate()
        exit_code = process.returncode
    except TimeoutError:
        pass
    finally:
        await _end(process)
    read = {name: _read(logs / f"{name}.log") for name in ("messages", "errors", "screen")}
    errors = f"{read['errors']}{stderr.decode(errors='replace')}"
    return SippResult(exit_code, read["messages"], errors, read["screen"])


def deadline_s(scenario: SippScenario) -> float:
    """Wall time that a run may take."""
    return float(scenario.expect.get("timeout_s", 25))


def sipp_arguments(
    scenario: SippScenario,
    logs: Path,
    target: str,
    port: int,
    media_port: int,
    control_port: int,
) -> list[str]:
    """Command line without the program."""
    expect = scenario.expect
    options: dict[str, object] = {
        "-sf": "scenario.xml",
        "-m": expect.get("calls", 1),
        "-r": expect.get("rate", 1),
        "-l": expect.get("calls", 1),
        "-d": expect.get("pause_ms", 0),
        "-i": "127.0.0.1",
        "-mi": "127.0.0.1",
        "-mp": media_port,
        "-cp": control_port,
        "-t": "t1" if expect.get("transport") == "tcp" else "u1",
        "-timeout": f"{deadline_s(scenario) - 2:.0f}s",
        "-message_file": logs / "messages.log",
        "-error_file": logs / "errors.log",
        "-screen_file": logs / "screen.log",
    }
    # Without -p SIPp takes 5060 when it is free, and would sit where a gateway wants to be.
    options["-p"] = port or free_port()
    flags = ["-nostdin", "-trace_msg", "-trace_err", "-trace_screen", "-timeout_error"]
    words = [str(word) for pair in options.items() for word in pair]
    return [*words, *flags, target]


def check_records(scenario: SippScenario, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the gateway's `call.json` contents with the expectations.

    Returns:
        One line per difference; empty = as expected.
    """
    problems: list[str] = []
    unmatched = list(records)
    for expected in scenario.records:
        differences = [(check_record(expected, record), record) for record in unmatched]
        fitting = [record for found, record in differences if not found]
        wanted = expected.get("count", 1)
        if len(fitting) != wanted:
            problems.append(f"{len(fitting)} records, expected {wanted}, are {expected}")
            problems += [line for found, _ in differences for line in found]
        unmatched = [record for record in unmatched if record not in fitting]
    return problems


def check_record(expected: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Compare one record: equal values (a list = any of them), lower bounds, parts of texts."""
    problems: list[str] = []
    for key, value in expected.items():
        seen = _lookup(record, key)
        if key not in _KEYWORDS and seen not in (value if isinstance(value, list) else [value]):
            problems.append(f"{key}: {seen!r}, expected {value!r}")
    for key, value in expected.get("at_least", {}).items():
        seen = _lookup(record, key)
        size = len(seen) if isinstance(seen, list) else (seen or 0)
        if size < value:
            problems.append(f"{key}: {size}, expected at least {value}")
    for key, value in expected.get("contains", {}).items():
        if value not in str(_lookup(record, key)):
            problems.append(f"{key}: {_lookup(record, key)!r}, expected to contain {value!r}")
    said = " ".join(str(turn.get("caller_text") or "") for turn in record.get("turns", ()))
    problems += [
        f"caller_text: {said!r}, expected the word {word!r}"
        for word in expected.get("words", ())
        if word.lower() not in said.lower()
    ]
    return problems


def check_events(expected: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Compare the lines of `events.jsonl`: kinds that must occur in order, digits heard."""
    kinds = [str(event.get("kind")) for event in events]
    rest = iter(kinds)
    problems = [
        f"event {kind!r} is missing (in this order) from {kinds}"
        for kind in expected.get("events", ())
        if kind not in rest
    ]
    digits = "".join(str(event["digit"]) for event in events if "digit" in event)
    if digits != expected.get("digits", digits):
        problems.append(f"digits: {digits!r}, expected {expected['digits']!r}")
    return problems


def check_bot_audio(
    expected: Mapping[str, Any], events: Sequence[Mapping[str, Any]], recording: Path
) -> list[str]:
    """Listen to the bot's side of `audio.wav` around events, a fifth of a second off them."""
    at = {str(event["kind"]): float(event["audio_s"]) + _SETTLE_S for event in events}
    problems: list[str] = []
    if stretch := expected.get("bot_silent_between"):
        level = _bot_rms(recording, at[stretch[0]], at[stretch[1]] - 2 * _SETTLE_S)
        if level > _AUDIBLE_RMS:
            problems.append(f"the bot is heard between {stretch}: RMS {level:.0f}")
    if kind := expected.get("bot_audible_after"):
        level = _bot_rms(recording, at[kind], at["call_ended"])
        if level <= _AUDIBLE_RMS:
            problems.append(f"the bot is not heard after {kind}: RMS {level:.0f}")
    return problems


def _bot_rms(recording: Path, start_s: float, end_s: float) -> float:
    with wave.open(str(recording)) as audio:
        rate = audio.getframerate()
        audio.setpos(min(round(start_s * rate), audio.getnframes()))
        raw = audio.readframes(max(0, round((end_s - start_s) * rate)))
    right = np.frombuffer(raw, dtype="<i2")[1::2].astype(np.float64)
    return float(np.sqrt(np.mean(right**2))) if right.size else 0.0


def free_port() -> int:
    """A UDP port of the loopback that nobody holds at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _lookup(record: Mapping[str, Any], dotted: str) -> Any:
    value: Any = record
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _filled(value: Any, port: int) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, port) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, port) for item in value]
    return value.replace("{port}", str(port)) if isinstance(value, str) else value


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
