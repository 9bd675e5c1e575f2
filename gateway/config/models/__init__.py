"""Every configuration value, its unit and its default: `gateway.toml` as a whole.  No I/O."""

from __future__ import annotations

from pathlib import Path

from gateway.config.models.agent import (
    AgentConfig,
    BargeInConfig,
    BuiltinTool,
    Eagerness,
    FillerConfig,
    KeysConfig,
    LlmLimits,
    RecognizerPrices,
    RecognizerTable,
    SilenceConfig,
    SpeculationConfig,
    SpeechPrices,
    SpeechTable,
    TransferConfig,
    TurnBy,
    TurnConfig,
    VoicePrices,
    VoiceTable,
)
from gateway.config.models.operation import (
    EdgeConfig,
    HttpConfig,
    LogConfig,
    MediaConfig,
    RealtimeConfig,
    RecordsConfig,
    WorkersConfig,
)
from gateway.config.models.routing import (
    BreakerConfig,
    CapConfig,
    EnginePrices,
    NamedEngine,
    RoutedKind,
    RouterConfig,
    RuleConfig,
)
from gateway.config.models.sip import (
    DtmfMethod,
    OutgoingConfig,
    SipConfig,
    TrunkConfig,
    UntrustedConfig,
)
from gateway.config.models.table import (
    Table,
)
from gateway.config.models.webhooks import WEBHOOK_TYPES, WebhookConfig, WebhookType

__all__ = [
    "WEBHOOK_TYPES",
    "AgentConfig",
    "BargeInConfig",
    "BreakerConfig",
    "BuiltinTool",
    "CapConfig",
    "DialplanConfig",
    "DtmfMethod",
    "Eagerness",
    "EdgeConfig",
    "EnginePrices",
    "FillerConfig",
    "GatewayConfig",
    "HttpConfig",
    "KeysConfig",
    "LlmLimits",
    "LogConfig",
    "MediaConfig",
    "NamedEngine",
    "OutgoingConfig",
    "RealtimeConfig",
    "RecognizerPrices",
    "RecognizerTable",
    "RecordsConfig",
    "RoutedKind",
    "RouterConfig",
    "RuleConfig",
    "SilenceConfig",
    "SipConfig",
    "SpeculationConfig",
    "SpeechPrices",
    "SpeechTable",
    "Table",
    "TransferConfig",
    "TrunkConfig",
    "TurnBy",
    "TurnConfig",
    "UntrustedConfig",
    "VoicePrices",
    "VoiceTable",
    "WebhookConfig",
    "WebhookType",
]


class DialplanConfig(Table):
    """`[dialplan]`."""

    directory: Path | None = None
    """Folder of *.toml; none = every call goes to the default agent."""


class GatewayConfig(Table):
    """`gateway.toml`."""

    sip: SipConfig = SipConfig()
    outgoing: OutgoingConfig = OutgoingConfig()
    http: HttpConfig = HttpConfig()
    workers: WorkersConfig = WorkersConfig()
    realtime: RealtimeConfig = RealtimeConfig()
    edge: EdgeConfig = EdgeConfig()
    records: RecordsConfig = RecordsConfig()
    media: MediaConfig = MediaConfig()
    log: LogConfig = LogConfig()
    webhooks: tuple[WebhookConfig, ...] = ()
    trunks: tuple[TrunkConfig, ...] = ()
    agents: dict[str, AgentConfig] = {"front-desk": AgentConfig()}
    engines: dict[str, NamedEngine] = {}
    """Engines with names, for `agents.NAME.llm = "NAME"` and for routers."""
    routers: dict[str, RouterConfig] = {}
    """Named as engines are: each chooses among some."""
    default_agent: str = ""
    """Agent of calls that no dialplan rule takes; empty = the only one, or the first."""
    dialplan: DialplanConfig = DialplanConfig()
