"""The dialect from before August 2025 (beta), translated into today's (GA) and back.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_FORMATS: dict[str, dict[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_NAMES = {found["type"]: name for name, found in _FORMATS.items()}
_EVENTS = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
_PARTS = {"output_text": "text", "output_audio": "audio"}
_ASSISTANT_PARTS = {beta: ga for ga, beta in _PARTS.items()}


class Dialect:
    """Which of the two a client speaks; a client is found out by how it sets its session."""

    def __init__(self, *, is_beta: bool) -> None:
        self.is_beta = is_beta

    def read(self, event: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        """Return a client's event in today's dialect."""
        session = event.get("session")
        if event.get("type") == "session.update" and isinstance(session, Mapping):
            self.is_beta = self.is_beta or _is_beta_session(session)
        if not self.is_beta:
            return [dict(event)]
        return [_from_beta(event)]

    def write(self, event: dict[str, Any]) -> Iterable[dict[str, Any]]:
        """Return a server event as the client knows it."""
        if not self.is_beta:
            return [event]
        if event["type"] == "conversation.item.done":
            return []
        return [_to_beta(event)]


def _is_beta_session(session: Mapping[str, Any]) -> bool:
    flat = {"modalities", "input_audio_format", "output_audio_format", "turn_detection",
            "input_audio_transcription", "max_response_output_tokens", "voice"}  # fmt: skip
    return "type" not in session and bool(flat & session.keys())


def _from_beta(event: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(event)
    if found.get("type") == "transcription_session.update":
        found["type"] = "session.update"
        session = found.get("session")
        if isinstance(session, Mapping):
            found["session"] = {**_session(session), "type": "transcription"}
        return found
    if isinstance(found.get("session"), Mapping):
        found["session"] = _session(found["session"])
    if isinstance(found.get("response"), Mapping):
        found["response"] = _session(found["response"])
    item = found.get("item")
    if isinstance(item, Mapping) and item.get("role") == "assistant":
        found["item"] = {**item, "content": _renamed(item.get("content"), _ASSISTANT_PARTS)}
    return found


def _session(session: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(session)
    audio: dict[str, dict[str, Any]] = {"input": {}, "output": {}}
    if (modalities := found.pop("modalities", None)) is not None:
        found["output_modalities"] = ["audio"] if "audio" in modalities else ["text"]
    if (most := found.pop("max_response_output_tokens", None)) is not None:
        found["max_output_tokens"] = most
    for side in ("input", "output"):
        named = found.pop(f"{side}_audio_format", None)
        if named is not None:
            audio[side]["format"] = _FORMATS.get(named, {"type": named})
    for old, side, new in (
        ("voice", "output", "voice"), ("speed", "output", "speed"),
        ("input_audio_transcription", "input", "transcription"),
        ("input_audio_noise_reduction", "input", "noise_reduction"),
        ("turn_detection", "input", "turn_detection"),
    ):  # fmt: skip
        if old in found:
            audio[side][new] = found.pop(old)
    found.pop("temperature", None)
    changed = {side: values for side, values in audio.items() if values}
    if changed:
        found["audio"] = changed
    return found


def _to_beta(event: dict[str, Any]) -> dict[str, Any]:
    found = {**event, "type": _EVENTS.get(event["type"], event["type"])}
    if "session" in found:
        found["session"] = _beta_session(found["session"])
        if found["session"].get("object") == "realtime.transcription_session":
            found["type"] = found["type"].replace("session.", "transcription_session.", 1)
    if "response" in found:
        found["response"] = _beta_response(found["response"])
    if "item" in found:
        found["item"] = _beta_item(found["item"])
    return found


def _beta_session(session: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in session.items() if key not in ("audio", "type")}
    audio = session.get("audio", {})
    given, taken = audio.get("input", {}), audio.get("output", {})
    found["input_audio_format"] = _NAMES.get(given.get("format", {}).get("type"), "pcm16")
    found["input_audio_transcription"] = given.get("transcription")
    found["input_audio_noise_reduction"] = given.get("noise_reduction")
    found["turn_detection"] = given.get("turn_detection")
    if taken:
        found["output_audio_format"] = _NAMES.get(taken.get("format", {}).get("type"), "pcm16")
        found["voice"], found["speed"] = taken.get("voice"), taken.get("speed")
    if (modalities := found.pop("output_modalities", None)) is not None:
        found["modalities"] = ["text", "audio"] if "audio" in modalities else ["text"]
    if (most := found.pop("max_output_tokens", None)) is not None:
        found["max_response_output_tokens"] = most
    return found


def _beta_response(response: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(response)
    audio = found.pop("audio", {}).get("output", {})
    found["output_audio_format"] = _NAMES.get(audio.get("format", {}).get("type"), "pcm16")
    found["voice"] = audio.get("voice")
    modalities = found.pop("output_modalities", ["audio"])
    found["modalities"] = ["text", "audio"] if "audio" in modalities else ["text"]
    found["output"] = [_beta_item(item) for item in found.get("output", [])]
    return found


def _beta_item(item: Mapping[str, Any]) -> dict[str, Any]:
    if "content" not in item:
        return dict(item)
    return {**item, "content": _renamed(item["content"], _PARTS)}


def _renamed(content: object, names: Mapping[str, str]) -> object:
    if not isinstance(content, list):
        return content
    return [
        {**part, "type": names.get(str(part.get("type")), part.get("type"))}
        if isinstance(part, Mapping)
        else part
        for part in content
    ]
