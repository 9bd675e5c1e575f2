"""Every folder of sipp-scenarios/: real SIPp against a real gateway; afterwards nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.load.speech import write_speech
from tests.support.gateway_process import (
    GatewayUnderTest,
    free_port,
    free_rtp_ports,
    running_gateway,
    to_toml,
)
from tests.support.sipp import (
    SCENARIOS,
    SippResult,
    SippScenario,
    check_bot_audio,
    check_events,
    check_records,
    deadline_s,
    is_installed,
    load_scenarios,
    run_sipp,
)

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="needs SIPp: apt install sip-tester"),
    pytest.mark.timeout(180),
]

# Scenarios that need settings of their own share a gateway where these get along.
SHARED = {
    "impatient": ("rtp-stops", "silent-caller", "outgoing-no-answer", "outgoing-digest"),
    "patient": ("register-against-registrar", "session-refresh-gateway"),
    "guarded": ("digest", "digest-wrong-password"),
    "closed": ("source-refused",),
}
ALL = load_scenarios()
GONE_S = 10.0
LEFT_OVER = ("call_slots_used", "open_sockets", "threads", "asyncio_tasks")
# A dialog goes with its last transaction: timers H and J of RFC 3261 section 17.2, here 8 s.
DIALOGS_GONE_S = 15.0


@dataclass(slots=True)
class Site:
    """A gateway, SIPp's port that it knows, and what it holds while nobody calls."""

    gateway: GatewayUnderTest
    sipp_port: int
    at_rest: dict[str, float] = field(default_factory=dict)

    def holds(self) -> dict[str, float]:
        """What a call takes and must give back, by process."""
        samples = self.gateway.metrics().items()
        return {n: v for n, v in samples if n.removeprefix("gateway_").startswith(LEFT_OVER)}

    def left_over(self) -> dict[str, tuple[float, float]]:
        """What stays above the figures at rest: name -> (at rest, now)."""
        end = time.monotonic() + GONE_S
        while True:
            now = self.holds()
            more = {n: (self.at_rest[n], v) for n, v in now.items() if v > self.at_rest[n]}
            if not more:
                self.at_rest = now  # threads of the start may have gone meanwhile
            if not more or time.monotonic() > end:
                return more
            time.sleep(0.1)


class Sites:
    """Starts the gateway of a group when its first scenario comes; one has calls at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._group = ""
        self._site: Site | None = None
        self._open = ExitStack()

    def of(self, group: str) -> Site:
        """Give the group's gateway, at rest."""
        if self._site is None or group != self._group:
            with ExitStack() as fresh:
                site = self._start(group, fresh)
                self.close()  # only now: the old one's dialogs went away meanwhile
                self._group, self._site, self._open = group, site, fresh.pop_all()
        return self._site

    def close(self) -> None:
        """End the gateway that runs, once its last dialog is gone."""
        site, self._site = self._site, None
        with self._open:
            if site is not None:
                site.gateway.wait_for_metric("gateway_sip_dialogs", 0, DIALOGS_GONE_S)

    def _start(self, group: str, stack: ExitStack) -> Site:
        port = free_port()
        settings: dict[str, Any] = {"dialplan": {"directory": str(SCENARIOS / "dialplan")}}
        for scenario in ALL:
            if group_of(scenario) == group:
                settings = united(settings, scenario.gateway(port))
        context = running_gateway(self._folder / group, to_toml(settings))
        site = Site(stack.enter_context(context), port)
        site.at_rest = site.holds()
        return site


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    asyncio.run(write_speech(SCENARIOS / "media"))
    found = Sites(tmp_path_factory.mktemp("sipp"))
    with closing(found):
        yield found


def group_of(scenario: SippScenario) -> str:
    return next((group for group, names in SHARED.items() if scenario.name in names), "plain")


def united(one: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Merge tables; two values for one key would be two gateways."""
    result = dict(one)
    for key, value in other.items():
        if key in result and isinstance(value, Mapping):
            result[key] = united(result[key], value)
        else:
            assert result.setdefault(key, value) == value, f"two values of {key}"
    return result


def cases() -> list[Any]:
    """One test per folder, those of one gateway together."""
    return [
        pytest.param(
            scenario,
            id=scenario.name,
            marks=[pytest.mark.slow] if scenario.expect.get("slow") else [],
        )
        for scenario in sorted(ALL, key=group_of)
    ]


@pytest.mark.parametrize("scenario", cases())
def test_scenario(sites: Sites, scenario: SippScenario, tmp_path: Path) -> None:
    if scenario.expect.get("needs_root") and os.geteuid() != 0:
        pytest.skip("SIPp's play_dtmf writes to a raw socket: only for root")
    site = sites.of(group_of(scenario))
    before = {call["call_id"] for call in all_records(site.gateway)}
    result = asyncio.run(play(site, scenario, tmp_path))
    assert result.exit_code == 0, result.story
    records = new_records(site.gateway, scenario, before)
    assert check_records(scenario, records) == [], result.story
    if len(records) == 1 == len(scenario.records):
        assert check_bundle(scenario.records[0], site.gateway, records[0]) == [], result.story
    assert site.left_over() == {}, result.story
    assert len(all_records(site.gateway)) == len(before) + len(records)


async def play(site: Site, scenario: SippScenario, logs: Path) -> SippResult:
    """Run SIPp; where it is the called side, let the gateway call it."""
    gateway = site.gateway
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            run_sipp(
                scenario,
                logs,
                target=f"127.0.0.1:{gateway.sip_port}",
                port=site.sipp_port,
                media_port=free_rtp_ports(20)[0],
                control_port=free_port(),
            )
        )
        if target := scenario.place_call(site.sipp_port):
            body = {"to": target, "trunk": scenario.expect.get("place_trunk", "")}
            await asyncio.to_thread(gateway.post, "/v1/calls", body)
        if wanted := scenario.expect.get("trunk_state"):
            await asyncio.to_thread(wait_for_trunk, gateway, wanted, deadline_s(scenario))
    return running.result()


def check_bundle(
    expected: Mapping[str, Any], gateway: GatewayUnderTest, record: Mapping[str, Any]
) -> list[str]:
    """Compare the events and the recording of the only call."""
    events = gateway.events(record)
    recording = gateway.bundle(record) / "audio.wav"
    return check_events(expected, events) + check_bot_audio(expected, events, recording)


def wait_for_trunk(gateway: GatewayUnderTest, wanted: Mapping[str, str], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while True:
        trunks = json.loads(gateway.get("/v1/trunks"))["trunks"]
        if any(wanted.items() <= trunk.items() for trunk in trunks):
            return
        assert time.monotonic() < end, f"no trunk {wanted} among {trunks}"
        time.sleep(0.1)


def all_records(gateway: GatewayUnderTest) -> list[dict[str, Any]]:
    paths = sorted(gateway.records.glob("*/*/call.json"))
    return [json.loads(path.read_bytes()) for path in paths]


def new_records(
    gateway: GatewayUnderTest, scenario: SippScenario, before: set[str]
) -> list[dict[str, Any]]:
    """Wait until as many calls as expected are over; give every new record, over or not."""
    wanted = sum(expected.get("count", 1) for expected in scenario.records)
    end = time.monotonic() + GONE_S
    while True:
        new = [call for call in all_records(gateway) if call["call_id"] not in before]
        over = [call for call in new if call["state"] == "finished"]
        if len(over) >= wanted or time.monotonic() > end:
            return new
        time.sleep(0.05)
