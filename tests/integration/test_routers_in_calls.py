"""Whole calls whose engines are behind routers: failures that the caller hardly notices."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.config.models import RouterConfig
from gateway.routing.choice import Situation, variant_of
from tests.support.asking import ask
from tests.support.beside import beside
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.llm_server import Answer, LlmServer
from tests.support.outside import calling

GREETING = "Good morning."
RULE = """
[[contexts.default.extensions]]
name = "{name}"
called = "{name}"
steps = [{{ talk = "{name}" }}]
"""


def plan(folder: Path, *names: str) -> dict[str, Any]:
    (folder / "plan").mkdir()
    (folder / "plan" / "plan.toml").write_text("".join(RULE.format(name=n) for n in names))
    return {"directory": "plan"}


def model(port: int, name: str, **more: Any) -> dict[str, Any]:
    """An engine of one of the doubles' models, at a price."""
    prices = {"input_cost_per_million": 1.0, "output_cost_per_million": 10.0}
    url = f"http://127.0.0.1:{port}/v1"
    return {"provider": "openai", "model": name, "base_url": url, "prices": prices, **more}


@dataclass(frozen=True)
class Place:
    gateway: LiveGateway
    server: LlmServer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("routers")
    agent = {"greeting": GREETING, "speculation": {"enabled": False}, "filler": {"after_ms": 0}}
    with beside(LlmServer(default=Answer(text="At nine."))) as server:
        port = server.port
        server.by_model = {
            "silent": Answer(hang=True),
            "broken": Answer(text="We open at nine in the morning, every day of the week but one.",
                             close_after=7),
            "limited": Answer(status=429, headers=(("Retry-After", "60"),)),
        }  # fmt: skip
        engines = {
            name: model(port, name) for name in ("well", "other", "silent", "broken", "limited")
        }
        engines["dead"] = model(free_port(), "none")
        routers = {
            "dead-first": {"try": ["dead", "well"]},
            "hedged": {"try": ["silent", "well"], "hedge_after_ms": 400},
            "broken-off": {"try": ["broken", "other"]},
            "split": {"split": {"well": 50, "other": 50}},
            "limited-first": {"try": ["limited", "well"]},
        }
        config = {
            "engines": engines,
            "routers": routers,
            "agents": {name: {**agent, "llm": name} for name in routers},
            "dialplan": plan(folder, *routers),
        }
        with live_gateway(folder, config) as gateway:
            yield Place(gateway, server)


async def asked(
    place: Place, who: str, times: int = 2, user: str = "200"
) -> tuple[dict[str, Any], list[float]]:
    """Ask an agent some times; return the record and how long each answer took on the wire."""
    waited: list[float] = []
    async with calling(place.gateway.uri(who), user=user) as phone:
        await phone.bot_is_done()
        for _ in range(times):
            waited.append(await ask(phone))
            await phone.bot_is_done()
    return await place.gateway.finished(phone.sip_call_id), waited


def engines_of(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (route,) = record["routes"]
    return {each["engine"]: each for each in route["engines"]}


def counted(place: Place, name: str, label: str = "") -> float:
    """Sum up a metric over processes."""
    samples = place.gateway.gateway.metrics().items()
    return sum(v for n, v in samples if n.startswith(f"gateway_{name}") and label in n)


def test_a_dead_first_engine_costs_little_once_and_nothing_then(place: Place) -> None:
    async def scenario() -> None:
        record, _ = await asked(place, "dead-first", 3)
        first, *later = record["turns"][1:]
        assert [turn["bot_text_heard"] for turn in record["turns"][1:]] == ["At nine."] * 3
        # What the failure costs is in the model's time: the second turn does not wait for it.
        assert first["llm_first_token_ms"] - min(t["llm_first_token_ms"] for t in later) <= 700
        engines = engines_of(record)
        assert engines["dead"]["requests"] == engines["dead"]["failures"] == 1
        assert engines["well"]["requests"] == 3
        assert engines["well"]["cost"] > 0
        assert record["spent"]["cost"] == pytest.approx(engines["well"]["cost"])
        (switched,) = place.gateway.events(record, "engine_switched")
        assert (switched["engine"], switched["to"]) == ("dead", "well")
        assert not place.gateway.events(record, "engine_failed")

    asyncio.run(scenario())


def test_a_silent_engine_is_overtaken_and_what_it_cost_is_counted_as_wasted(place: Place) -> None:
    async def scenario() -> None:
        record, _ = await asked(place, "hedged")
        first, second = record["turns"][1:]
        assert first["bot_text_heard"] == second["bot_text_heard"] == "At nine."
        assert 400 <= first["llm_first_token_ms"] < 1400
        engines = engines_of(record)
        assert engines["silent"]["overtaken"] == engines["silent"]["requests"] == 1
        assert engines["silent"]["wasted_tokens"] > 0
        assert engines["well"]["requests"] == 2
        seen = [s for s in place.server.completions if s.body["model"] == "silent"]
        assert all(s.disconnected.is_set() for s in seen)
        wasted = counted(place, "llm_tokens_wasted_total")
        assert wasted >= engines["silent"]["wasted_tokens"]

    asyncio.run(scenario())


def test_another_model_goes_on_in_mid_sentence_without_a_word_said_twice(place: Place) -> None:
    async def scenario() -> None:
        place.server.by_model["other"] = Answer(text="nine in the morning, but not on Sunday.")
        record, _ = await asked(place, "broken-off", 1)
        said = record["turns"][1]["bot_text_heard"]
        assert said == "We open at nine in the morning, but not on Sunday."
        (request,) = (s for s in place.server.completions if s.body["model"] == "other")
        *_, cut, wish = request.body["messages"]
        assert cut["role"] == "assistant"
        assert "We open at nine in the morning, but".startswith(cut["content"])
        assert wish["role"] == "user"

    asyncio.run(scenario())


def test_a_vendor_that_asks_to_be_left_alone_is_and_the_operator_sees_it(place: Place) -> None:
    async def scenario() -> None:
        for _ in range(2):
            record, _ = await asked(place, "limited-first", 1)
            assert record["turns"][1]["bot_text_heard"] == "At nine."
        assert len([s for s in place.server.completions if s.body["model"] == "limited"]) == 1
        assert "limited" not in engines_of(record)
        (rests,) = place.gateway.logged("engine_rests")
        assert (rests["engine"], rests["retry_after_s"]) == ("limited", 60.0)
        assert counted(place, "breaker_opened_total", "limited") == 1

    asyncio.run(scenario())


SIDES = RouterConfig(split={"well": 50, "other": 50})


def callers_of(side: str, count: int) -> list[str]:
    """Return callers who are on one side of the router `split`."""
    numbers = (str(number) for number in itertools.count(200))
    found = (n for n in numbers if variant_of(SIDES, "split", Situation("", n)) == side)
    return list(itertools.islice(found, count))


def test_two_models_side_by_side_and_the_report_of_them(place: Place) -> None:
    async def scenario() -> None:
        place.server.by_model["other"] = Answer(text="At nine, every day of the week, I believe.")
        for side in ("well", "other"):
            for caller in callers_of(side, 2):
                record, _ = await asked(place, "split", 1, user=caller)
                assert record["variant"] == f"split={side}"
                assert record["turns"][1]["variant"] == f"split={side}"
                assert [route["variant"] for route in record["routes"]] == [side]
        assert counted(place, "turns_total", "split=well") >= 4
        assert counted(place, "response_gap_seconds_count", "split=other") == 2

    asyncio.run(scenario())
    path = str(place.gateway.gateway.config_path)
    command = [sys.executable, "-m", "gateway", "report", "--config", path, "--router", "split"]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True,
                          timeout=60, check=True)  # fmt: skip
    report = json.loads(done.stdout)
    rows = {row["variant"]: row for row in report["variants"]}
    assert {name: rows[name]["calls"] for name in ("well", "other")} == {"well": 2, "other": 2}
    assert rows["other"]["cost"]["value"] > rows["well"]["cost"]["value"] > 0
    assert rows["well"]["gap_p50_ms"]["low"] > 0
    assert "cost" in report["differences"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "gap p50 ms" in text.splitlines()[0]
