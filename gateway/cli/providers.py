"""`gateway providers`: the engines that can be used here, and what is missing for the others."""

from __future__ import annotations

import sys

from gateway.providers import registry
from gateway.setup.engines import KINDS

_TITLES = {
    "stt": "speech to text",
    "llm": "language model",
    "tts": "text to speech",
    "s2s": "speech to speech",
    "vad": "voice detection",
}


def run() -> int:
    """Print one line per provider, grouped by kind."""
    found = {kind: registry.available(kind) for kind in KINDS}
    width = max((len(info.name) for infos in found.values() for info in infos), default=0)
    for kind, infos in found.items():
        sys.stdout.write(f"{kind} ({_TITLES[kind]})\n")
        for info in infos:
            state = "ready  " if info.available else "missing"
            text = info.summary if info.available else info.hint
            sys.stdout.write(f"  {info.name:{width}}  {state}  {text}\n")
    return 0
