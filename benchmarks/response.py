"""How long the caller waits for an answer: offline script and speech, complete sentences.

Measured by the caller from its last loud sample sent to the bot's first received, and beside it
what the gateway wrote into `call.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks._calls import CallOutcome, conversation, make_call, pair_turns
from benchmarks._gateway import Gateway, running_gateway
from benchmarks._report import Row, percentiles, progress, publish, spread
from gateway.probe import scenario
from gateway.probe.voices import Voice
from gateway.records.model import TurnRecord

SENTENCES = (
    "What are your opening hours?",
    "Where are you located?",
    "What drinks do you have?",
    "Are you open on Saturday?",
    "What is your address please?",
    "What can you do for me?",
    "When do you close on Monday?",
    "How do I find you?",
    "What kinds of coffee do you have?",
    "How late are you open on Friday?",
    "Can you say that again please?",
    "Are you open tomorrow?",
    "What time do you open on Tuesday?",
    "What is on the menu?",
)
"""Questions that the front desk answers at any time."""
ORDER = (
    "I would like to order two large coffees.",
    "That is all, thank you.",
    "Yes please.",
)
"""Said at the end: whatever was understood of it, nothing is left to ask."""
STAGES = (
    "endpointing_ms",
    "stt_final_ms",
    "llm_first_token_ms",
    "llm_first_sentence_ms",
    "tts_first_audio_ms",
    "playout_start_ms",
    "gateway_share_ms",
)


@dataclass(frozen=True, slots=True)
class Answered:
    """One sentence and its answer, as both sides saw it."""

    text: str
    gap_ms: float
    reported: TurnRecord | None
    """The gateway's record where it made exactly one turn of the sentence."""
    buffer_ms: float
    """Mean delay of the gateway's jitter buffer in this call."""

    @property
    def difference_ms(self) -> float | None:
        """What the caller waited longer than the gateway says."""
        if self.reported is None or self.reported.response_gap_ms is None:
            return None
        return self.gap_ms - self.reported.response_gap_ms


async def run(*, quick: bool) -> None:
    voices: tuple[Voice, ...] = ("awb",) if quick else ("awb", "kal16", "awb")
    sentences = SENTENCES[:6] if quick else SENTENCES + ORDER
    answers: list[Answered] = []
    unanswered = 0
    async with running_gateway() as gateway:
        for voice in voices:
            found, missing = await talk(gateway, sentences, voice)
            answers += found
            unanswered += missing
            progress(f"{len(answers)} answers")
    rows, figures = summary(answers, unanswered)
    publish("response", "Response gap, offline script, complete sentences", rows, figures)


async def talk(
    gateway: Gateway, sentences: Sequence[str], voice: Voice
) -> tuple[list[Answered], int]:
    """One call that says all sentences; its answers and the number of sentences without one."""
    lines = [scenario.Say(text=text) for text in sentences]
    outcome = await make_call(gateway.uri, conversation(lines, voice))
    return await answers_of(gateway, outcome)


async def answers_of(gateway: Gateway, outcome: CallOutcome) -> tuple[list[Answered], int]:
    """Put the caller's figures and the gateway's side by side."""
    record = await gateway.record(outcome.caller)
    buffer_ms = (record.rtp.jitter_buffer_ms if record.rtp else None) or 0.0
    answers, missing = [], 0
    for index, reported in pair_turns(outcome.turns, record.turns):
        gap_ms = outcome.turns[index].response_gap_ms
        if gap_ms is None:
            missing += 1
        else:
            one = reported[0] if len(reported) == 1 else None
            answers.append(Answered(outcome.texts[index], gap_ms, one, buffer_ms))
    return answers, missing


def summary(answers: list[Answered], unanswered: int) -> tuple[list[Row], dict[str, object]]:
    """Table and JSON of these answers."""
    gaps = [answer.gap_ms for answer in answers]
    reported = [a.reported.response_gap_ms or 0.0 for a in answers if a.reported]
    differences = [d for a in answers if (d := a.difference_ms) is not None]
    stages = {
        name: [v for a in answers if a.reported and (v := getattr(a.reported, name)) is not None]
        for name in STAGES
    }
    rows = [
        ("response gap at the caller", spread(gaps, 50, 90, 95)),
        ("as the gateway reported it", spread(reported, 50, 90, 95)),
        ("caller minus gateway", spread(differences, 5, 50, 95)),
        ("gateway's jitter buffer", spread([a.buffer_ms for a in answers], 50)),
        ("sentences without an answer", str(unanswered)),
        *((f"  {name}", spread(values, 50, 90)) for name, values in stages.items()),
    ]
    figures: dict[str, object] = {
        "caller_ms": percentiles(gaps, 50, 90, 95),
        "gateway_ms": percentiles(reported, 50, 90, 95),
        "caller_minus_gateway_ms": percentiles(differences, 5, 50, 95),
        "jitter_buffer_ms": percentiles([a.buffer_ms for a in answers], 50),
        "unanswered": unanswered,
        "stages": {name: percentiles(values, 50, 90) for name, values in stages.items()},
        "turns": [
            {
                "text": a.text,
                "heard": a.reported.caller_text if a.reported else None,
                "caller_ms": round(a.gap_ms, 1),
                "gateway_ms": a.reported.response_gap_ms if a.reported else None,
                **{name: getattr(a.reported, name, None) for name in STAGES},
            }
            for a in answers
        ],
    }
    return rows, figures
