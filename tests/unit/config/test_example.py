"""gateway.example.toml shows every setting, and says the truth about the defaults."""

import itertools
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from gateway.config.models import (
    AgentConfig,
    BargeInConfig,
    BreakerConfig,
    CapConfig,
    FillerConfig,
    GatewayConfig,
    RecognizerPrices,
    RecognizerTable,
    RouterConfig,
    SilenceConfig,
    SpeculationConfig,
    SpeechPrices,
    SpeechTable,
    TrunkConfig,
    TurnConfig,
    VoicePrices,
    VoiceTable,
    WebhookConfig,
)

ROOT = Path(__file__).parents[3]
EXAMPLE = tomllib.loads((ROOT / "gateway.example.toml").read_text(encoding="utf-8"))
RECEPTION = EXAMPLE["agents"]["reception"]
ROUTER = EXAMPLE["routers"]["answers"]


ENGINE = tomllib.loads(
    next(
        line.removeprefix("# ")
        for line in (ROOT / "gateway.example.toml").read_text(encoding="utf-8").splitlines()
        if line.startswith("# s2s = ")
    )
)
"""A line that is commented out, for an agent has no such engine by default."""


def commented_out(first_line: str) -> dict[str, object]:
    """Read a table whose lines are comments, for the example runs without it."""
    lines = (ROOT / "gateway.example.toml").read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"# {first_line}"))
    block = itertools.takewhile(lambda line: line.startswith("# "), lines[start:])
    return tomllib.loads("\n".join(line.removeprefix("# ") for line in block))


WEBHOOKS = commented_out("[[webhooks]]")


def missing(model: type[BaseModel], table: dict[str, object]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()} - set(table)


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (GatewayConfig, EXAMPLE | WEBHOOKS),
        *((field.annotation, EXAMPLE[name]) for name, field in GatewayConfig.model_fields.items()
          if not get_args(field.annotation) and field.annotation is not str),
        (TrunkConfig, EXAMPLE["trunks"][0]),
        (WebhookConfig, WEBHOOKS["webhooks"][0]),
        (AgentConfig, EXAMPLE["agents"]["front-desk"] | RECEPTION | ENGINE),
        (SpeechTable, ENGINE["s2s"] | {"use": ""}),
        (SpeechPrices, ENGINE["s2s"]["prices"]),
        (RecognizerTable, RECEPTION["stt"] | {"use": ""}),
        (RecognizerPrices, RECEPTION["stt"]["prices"]),
        (VoiceTable, RECEPTION["tts"] | {"use": ""}),
        (VoicePrices, RECEPTION["tts"]["prices"]),
    ],
)  # fmt: skip
def test_every_setting_is_shown(model, table):
    assert not missing(model, table)


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (TurnConfig, RECEPTION["turn"]),
        (BargeInConfig, RECEPTION["turn"]["barge_in"]),
        (SilenceConfig, RECEPTION["silence"]),
        (FillerConfig, RECEPTION["filler"]),
        (SpeculationConfig, RECEPTION["speculation"]),
        (BreakerConfig, ROUTER["breaker"]),
        (CapConfig, ROUTER["cap"]),
    ],
)
def test_an_agents_tables_are_whole_and_show_the_defaults(model, table):
    assert not missing(model, table)
    assert model(**table) == model()


def test_a_router_is_whole_and_shows_the_defaults():
    assert not missing(RouterConfig, ROUTER)
    shown = RouterConfig.model_validate(ROUTER)
    assert shown == RouterConfig(kind="llm", try_=("fast", "smart"))


def test_the_engine_that_is_commented_out_shows_the_defaults():
    table = SpeechTable(**ENGINE["s2s"])
    assert table == SpeechTable(provider=table.provider)
