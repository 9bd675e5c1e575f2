"""docs/providers.md: every engine of every kind in one table, made from the engines themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from gateway.audio.format import NARROWBAND, AudioFormat
from gateway.errors import GatewayError
from gateway.providers import registry

TITLES = {
    "stt": "Recognizers (`stt`)",
    "llm": "Language models (`llm`)",
    "tts": "Voices (`tts`)",
    "s2s": "Speech to speech (`s2s`)",
    "vad": "Voice detectors (`vad`)",
}
MINIMUM: dict[str, Any] = {
    "api_key": "k", "voice": "anna", "model": "aura-2-thalia-en", "agent_id": "a", "project": "p",
}  # fmt: skip
"""Settings without which some engine cannot be made; each gets those that it must have."""
HERE = {
    "moonshine",
    "vosk",
    "script",
    "hibari",
    "flite",
    "espeak",
    "pyttsx3",
    "silero",
    "webrtcvad",
}
"""They run on this machine: the tests use themselves."""
JUDGED = {
    ("stt", "deepgram"), ("stt", "elevenlabs"), ("stt", "openai"), ("stt", "google"),
    ("tts", "deepgram"), ("tts", "elevenlabs"), ("tts", "hume"), ("tts", "google"),
    ("tts", "openai"), ("llm", "openai"), ("s2s", "openai_realtime"), ("s2s", "openai_live"),
    ("s2s", "gemini_live"), ("s2s", "deepgram_agent"), ("s2s", "elevenlabs_agent"),
    ("s2s", "hume_evi"), ("stt", "openai_http"), ("llm", "anthropic"), ("llm", "gemini"),
    ("llm", "openai_responses"),
}  # fmt: skip
"""The vendor's own types judge every message of their double."""
SOURCE = {
    ("stt", "kyutai"): "the server's source", ("tts", "kyutai"): "the server's source",
    ("s2s", "moshi"): "the server's source", ("stt", "cartesia"): "the documentation",
    ("stt", "inworld"): "the documentation", ("tts", "inworld"): "other clients of the vendor",
    ("tts", "cartesia"): "the vendor's SDK, written out",
}  # fmt: skip
LINES = {
    "openai_realtime": "mu-law, A-law", "openai_live": "mu-law, A-law",
    "inworld_realtime": "mu-law, A-law", "xai_realtime": "mu-law, A-law",
    "deepgram_agent": "mu-law", "elevenlabs_agent": "mu-law", "hume_evi": "linear",
    "gemini_live": "linear", "moshi": "Ogg-Opus",
}  # fmt: skip
HEAD = ("engine", "what it is", "works", "line coding", "languages", "settings", "seen with")
INTRO = """
Every engine; the tables are made from the engines themselves. Which one to choose, and how each
behaves: [engines.md](engines.md). Settings with defaults and meaning: the links in the tables.
What an engine costs: [costs.md](costs.md).

*Line coding* is the coding that passes untouched between a telephone line and the engine; linear
audio is converted by the gateway. *Languages* are those of the default settings; "by setting" =
the vendor decides. *Seen with* is what the tests have run the engine against. **No engine behind a
network has been run against the real service yet.** A *double* is a server of the tests that speaks
the vendor's protocol; "its types" = the vendor's own library judges every message.
"""


def text() -> str:
    """Return the page."""
    remark = "<!-- written by `make reference` (tests/support/provider_page.py) -->\n"
    found = f"# Providers: every engine in one table\n\n{remark}{INTRO}"
    for kind in get_args(registry.Kind):
        found += f"\n## {TITLES[kind]}\n\n"
        found += (
            "| engine | what it is | works | line coding | languages | settings | seen with |\n"
        )
        found += "|---|---|---|---|---|---|---|\n"
        for row in _rows(kind):
            found += "| " + " | ".join(row) + " |\n"
    return found


def _rows(kind: registry.Kind) -> Iterator[tuple[str, ...]]:
    for info in registry.available(kind):
        module = registry.load(kind, info.name)
        if not module.__name__.startswith("gateway."):
            continue  # a plug-in of another package
        made, settings = _made(kind, info.name)
        count = len(module.Settings.model_fields)
        anchor = f"reference/engines.md#{kind}-{info.name}"
        yield (
            f"`{info.name}`",
            info.summary.rstrip("."),
            _works(kind, made),
            _line(kind, info.name, made),
            _languages(module, settings),
            f"[{count}]({anchor})" if count else "none",
            _seen(kind, info.name),
        )


def _made(kind: registry.Kind, name: str) -> tuple[Any, Any]:
    module = registry.load(kind, name)
    fields = module.Settings.model_fields
    needed = {key: MINIMUM[key] for key, field in fields.items()
              if field.is_required() and key in MINIMUM}  # fmt: skip
    try:
        settings = module.Settings.model_validate(needed)
        return (module.create(settings) if kind in {"stt", "tts", "s2s"} else None), settings
    except (ValueError, GatewayError):
        return None, None


def _works(kind: registry.Kind, made: Any) -> str:
    if kind == "stt" and made is not None:
        return "turn detection" if getattr(made, "hears_turns", False) else "words"
    if kind == "tts" and made is not None:
        return "first words early" if getattr(made, "takes_beginnings", False) else "sentences"
    if kind == "s2s":
        return "talks, tools" if getattr(made, "takes_tools", True) else "talks"
    return {"llm": "answers, tools", "vad": "speech or not"}.get(kind, "")


def _line(kind: registry.Kind, name: str, made: Any) -> str:
    if kind == "s2s":
        return LINES.get(name, "linear")
    if made is None:
        return "-" if kind in {"llm", "vad"} else "linear"
    if kind == "tts":
        form: AudioFormat = made.output_format
        known = {"pcmu": "mu-law, A-law", "pcma": "mu-law, A-law"}
        return known.get(form.encoding, f"linear, {form.sample_rate_hz // 1000} kHz")
    for_line = getattr(made, "for_line", lambda _: made)
    names = {"pcmu": "mu-law", "pcma": "A-law"}
    taken = [
        word
        for encoding, word in names.items()
        if for_line(AudioFormat(8000, encoding=encoding)).input_format.encoding == encoding  # type: ignore[arg-type]
    ]
    rate_hz = for_line(NARROWBAND).input_format.sample_rate_hz
    return ", ".join(taken) or f"linear, {rate_hz // 1000} kHz"


def _languages(module: Any, settings: Any) -> str:
    hook = getattr(module, "languages", None)
    if hook is None or settings is None:
        return "by setting"
    return ", ".join(hook(settings)) or "by setting"


def _seen(kind: registry.Kind, name: str) -> str:
    if name == "vosk":
        return "its library, without a model"
    if name in HERE:
        return "itself"
    if (kind, name) in JUDGED:
        return "a double, judged by its types"
    return f"a double, by {SOURCE.get((kind, name), 'the documentation')}"
