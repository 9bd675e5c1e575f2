"""Where the time to an answer went: one truth for records, the log and pictures.  Pure."""

from __future__ import annotations

from typing import NamedTuple

from gateway.records.model import TurnRecord


class Stages(NamedTuple):
    """What the caller waited for; the fields are named as in `TurnRecord` and sum up to the gap."""

    endpointing_ms: float
    """Until the caller's turn was known to be over, recognition included."""
    llm_first_sentence_ms: float
    tts_first_audio_ms: float
    engine_first_audio_ms: float
    """Of a speech-to-speech engine, in place of the two before; it may contain the first."""
    playout_start_ms: float
    """Until it was on the wire, and all that no other stage accounts for."""


def stages(record: TurnRecord) -> Stages | None:
    """Divide `response_gap_ms` among the stages; None where there is no gap.

    A reply that was prepared early thinks and speaks while the gateway still listens: that time
    costs the caller nothing and is not counted (`hidden_ms`).  Of what the engines took longer than
    the wait, the last part is the voice's, for it begins when there is a sentence.  A filler ends
    the gap before the answer is there: then the first part is the language model's.
    """
    gap_ms = record.response_gap_ms
    if gap_ms is None or record.endpointing_ms is None:
        return None
    if record.engine_first_audio_ms is not None:
        return _of_speech(record.engine_first_audio_ms, gap_ms, record.endpointing_ms)
    wait_ms = min(gap_ms, record.endpointing_ms)
    engines_ms = max(0.0, gap_ms - wait_ms - (record.playout_start_ms or 0.0))
    llm_ms, tts_ms = _took(record)
    if record.fillers:
        llm_ms = min(engines_ms, llm_ms or engines_ms)
        tts_ms = min(engines_ms - llm_ms, tts_ms)
    else:
        tts_ms = min(engines_ms, tts_ms)
        llm_ms = min(engines_ms - tts_ms, llm_ms)
    return Stages(wait_ms, llm_ms, tts_ms, 0.0, gap_ms - wait_ms - llm_ms - tts_ms)


def _of_speech(engine_ms: float, gap_ms: float, endpointing_ms: float) -> Stages:
    """Divide the gap where the engine hears and speaks: an engine that ends turns waits itself."""
    engine_ms = min(gap_ms, engine_ms)
    rest_ms = gap_ms - engine_ms
    wait_ms = endpointing_ms if endpointing_ms <= rest_ms else 0.0
    return Stages(wait_ms, 0.0, 0.0, engine_ms, rest_ms - wait_ms)


def hidden_ms(record: TurnRecord) -> tuple[float, float]:
    """Time that language model and voice took and that the caller did not wait for."""
    seen = stages(record)
    if seen is None or record.fillers or record.engine_first_audio_ms is not None:
        return 0.0, 0.0
    llm_ms, tts_ms = _took(record)
    return llm_ms - seen.llm_first_sentence_ms, tts_ms - seen.tts_first_audio_ms


def slowest_stage(record: TurnRecord) -> str | None:
    """Name the field of the stage that took most of the gap; None where there is no gap."""
    found = stages(record)
    return None if found is None else max(found._fields, key=lambda name: getattr(found, name))


def summary_line(record: TurnRecord) -> str:
    """Describe a turn in one line: the gap and its parts, what was special, how much was said.

    What was said is for the record only, which can be deleted; a log cannot.
    """
    caller, bot = _words(record.caller_text), _words(record.bot_text_heard)
    said = f"{caller} -> {bot} words" if record.caller_text else f"{bot} words"
    parts = (_gap(record), *_specials(record), said)
    return f"turn {record.index}: " + "; ".join(filter(None, parts))


def _gap(record: TurnRecord) -> str:
    parts, slowest = stages(record), slowest_stage(record)
    if parts is None or slowest is None:
        return ""
    if record.engine_first_audio_ms is not None:
        return (
            f"gap {record.response_gap_ms:.0f} ms = wait {parts.endpointing_ms:.0f}"
            f" + engine {parts.engine_first_audio_ms:.0f} + playout {parts.playout_start_ms:.0f};"
            f" slowest: {slowest.removesuffix('_ms')}"
        )
    llm_hidden_ms, tts_hidden_ms = hidden_ms(record)
    return (
        f"gap {record.response_gap_ms:.0f} ms = wait {parts.endpointing_ms:.0f}"
        f" + llm {parts.llm_first_sentence_ms:.0f}{_hidden(llm_hidden_ms)}"
        f" + tts {parts.tts_first_audio_ms:.0f}{_hidden(tts_hidden_ms)}"
        f" + playout {parts.playout_start_ms:.0f}; slowest: {slowest.removesuffix('_ms')}"
    )


def _hidden(value_ms: float) -> str:
    return f" (hidden {value_ms:.0f})" if value_ms >= 0.5 else ""


def _specials(record: TurnRecord) -> list[str]:
    said = []
    if record.fillers:
        answer = "" if record.answer_gap_ms is None else f", answer {record.answer_gap_ms:.0f} ms"
        said.append(f"fillers {len(record.fillers)}{answer}")
    if record.tools:
        said.append("tools " + " ".join(tool.name for tool in record.tools))
    if record.false_interruptions:
        said.append(
            "false interruption by "
            + " ".join(held.evidence for held in record.false_interruptions)
        )
    if record.interrupted:
        stop_ms = record.barge_in_stop_ms
        said.append("cut" if stop_ms is None else f"cut, silent after {stop_ms:.0f} ms")
    if record.reopened:
        said.append("reopened")
    if record.error:
        said.append(f"error: {record.error}")
    return said


def _took(record: TurnRecord) -> tuple[float, float]:
    return record.llm_first_sentence_ms or 0.0, record.tts_first_audio_ms or 0.0


def _words(text: str | None) -> int:
    return len((text or "").split())
