"""What to do after the demo: listen, call it oneself, give it a real number."""

from __future__ import annotations

from pathlib import Path

NETWORK_TOML = """\
[sip]
bind = "0.0.0.0"
allow_sources = ["192.168.0.0/16"]
"""
"""A whole configuration file: the built-in agent for callers of a network."""

GATEWAY_TOML = """\
[sip]
bind = "0.0.0.0"

[[trunks]]                        # the account of your carrier or PBX
name = "carrier"
server = "sip.example.net"
user = "alice"
password = "${SIP_PASSWORD}"

[agents.reception]
greeting = "Thanks for calling. How can I help?"
instructions = "You are the receptionist of Harbour Coffee. Answer in one or two sentences."
builtin_tools = ["hang_up"]

[agents.reception.llm]            # any OpenAI-compatible endpoint
provider = "openai"
base_url = "http://127.0.0.1:9000/v1"
model = "some-model"
api_key = "${OPENAI_API_KEY:-}"
"""
"""A whole configuration file: four fields of a SIP account and an LLM endpoint."""


def listening(bundle: Path) -> list[str]:
    """Return where the call is and how to hear it."""
    return [
        f"The call is in {bundle}/",
        "  call.json      caller, times, every turn with its times",
        "  events.jsonl   every event with its audio time",
        "  audio.wav      left: the caller as received, right: the bot as sent",
        "  caller.wav     the same as the caller's end sent and heard it; caller.json: its figures",
        f"Listen to it: aplay {bundle}/audio.wav   (or copy it to any player)",
    ]


def next_steps(command: str) -> list[str]:
    """Return how to go on; `command` starts the gateway."""
    return [
        f"Talk to it yourself: {command} run",
        "  then call sip:desk@127.0.0.1:5060 with a softphone on this machine, without an account.",
        "  From another machine: write these three lines into gateway.toml, with your network.",
        *(f"    {line}" for line in NETWORK_TOML.splitlines()),
        "  Every other setting is in gateway.example.toml.",
        "",
        "Give it a real number and a language model: write this into gateway.toml, put in the",
        "four fields of your SIP account and the address of your LLM endpoint, then",
        f"SIP_PASSWORD=... OPENAI_API_KEY=... {command} run   ({command} check finds mistakes)",
        "",
        *(f"  {line}".rstrip() for line in GATEWAY_TOML.splitlines()),
        "",
        "One line more, and a speech-to-speech engine hears and speaks: README.md, section",
        '"One engine that hears and speaks".  All documentation by task: docs/README.md',
    ]
