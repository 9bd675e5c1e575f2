"""`[engines.NAME]` and `[routers.NAME]`: engines with names, and how one is chosen among them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from gateway.config.engine_table import EngineTable
from gateway.config.models.agent import SpeechPrices
from gateway.config.models.table import Table

RoutedKind = Literal["stt", "llm", "tts", "s2s"]
"""What may be chosen by a router: recognizer, language model, voice, speech-to-speech engine."""


class EnginePrices(SpeechPrices):
    """`engines.NAME.prices`: what an engine costs, in the currency of `llm_limits`."""

    input_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Tokens of a language model; `output_cost_per_million` likewise."""
    output_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    cached_input_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Input that the vendor's cache held, or that was written to it; 0 = as other input."""
    cache_write_cost_per_million: Annotated[float, Field(ge=0)] = 0.0
    cost_per_million_characters: Annotated[float, Field(ge=0)] = 0.0
    """Of what a voice speaks."""


class NamedEngine(EngineTable):
    """`[engines.NAME]`: a provider with its settings under a name."""

    kind: RoutedKind | None = None
    """Needed only where it shows neither by the provider nor by what uses it."""
    prices: EnginePrices = EnginePrices()


class BreakerConfig(Table):
    """`routers.NAME.breaker`: when an engine that fails is left alone."""

    failures: Annotated[int, Field(ge=1, le=1000)] = 3
    """Failures within `within_s`, and at least half of its requests in that time."""
    within_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    rest_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long it is not asked; then one request tries it."""


class RuleConfig(Table):
    """A rule of `routers.NAME.when`: all that it names must be so."""

    use: str
    """Engine or router."""
    caller_prefix: str = ""
    called: str = ""
    called_prefix: str = ""
    header: dict[str, str] = {}
    """SIP header -> its whole value; names in any case."""
    hours: str = ""
    """When the call began: "22:00-06:00", "mon-fri 08:00-18:00", "night" (22:00-06:00), "day"."""
    language: str = ""
    """Of the agent: "de" is also "de-AT"."""
    turn: Literal["", "short", "long"] = ""
    """By the words of the caller's turn; language models only."""


class CapConfig(Table):
    """`routers.NAME.cap`: what its engines may be used for; 0 = no limit."""

    tokens_per_call: Annotated[int, Field(ge=0)] = 0
    cost_per_call: Annotated[float, Field(ge=0)] = 0.0
    cost_per_day: Annotated[float, Field(ge=0)] = 0.0
    """Of all calls of this machine, in the last 24 hours."""
    then: str = ""
    """Engine or router that is used beyond it."""


class RouterConfig(Table):
    """`[routers.NAME]`: chooses an engine for each call, or for each turn of a language model."""

    model_config = ConfigDict(populate_by_name=True)

    kind: RoutedKind | None = None
    """Needed only where it does not show by what uses it or by its engines."""
    try_: Annotated[tuple[str, ...], Field(alias="try")] = ()
    """Engines or routers in their order: the next is used when one fails."""
    hedge_after_ms: Annotated[int, Field(ge=0, le=30_000)] = 0
    """Silence after which the next one is asked as well: the first to speak wins, the other is
    cancelled.  0 = never.  Language models and voices."""
    breaker: BreakerConfig = BreakerConfig()
    split: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Engine or router -> its weight: which one comes first, by caller or call."""
    sticky: Literal["caller", "call"] = "caller"
    """What keeps its side of the split; a caller without a number counts as a new one."""
    when: tuple[RuleConfig, ...] = ()
    """Rules; the first that fits goes before the split."""
    short_turn_words: Annotated[int, Field(ge=1, le=100)] = 6
    """A turn with more words is long."""
    timezone: str = ""
    """Of `hours`, such as "Europe/Berlin"; empty = the machine's."""
    cap: CapConfig = CapConfig()

    @property
    def names(self) -> tuple[str, ...]:
        """Every engine or router that it names, once."""
        rules = tuple(rule.use for rule in self.when)
        then = (self.cap.then,) if self.cap.then else ()
        return tuple(dict.fromkeys((*self.try_, *self.split, *rules, *then)))
