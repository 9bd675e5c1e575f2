"""The gateway without a configuration file: one offline agent on loopback."""

from __future__ import annotations

from gateway.config.models import AgentConfig, GatewayConfig, OutgoingConfig

_TOOLS = "gateway.script.examples.front_desk_tools"


def default_config() -> GatewayConfig:
    """Return the front desk of the example script, with its tools, on 127.0.0.1:5060."""
    # Only this machine can be called: enough to try `gateway call`, and it costs nothing.
    outgoing = OutgoingConfig(allow=("sip:*@127.0.0.1:*",))
    return GatewayConfig(agents={"front-desk": _front_desk()}, outgoing=outgoing)


def _front_desk() -> AgentConfig:
    return AgentConfig(
        tools=tuple(
            f"{_TOOLS}:{function}" for function in ("opening_hours", "take_message", "place_order")
        ),
        builtin_tools=("hang_up", "transfer_call"),
        transfer_targets={"operator": "sip:operator@127.0.0.1:5070"},
    )
