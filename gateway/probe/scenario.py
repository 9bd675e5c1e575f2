"""A spoken script: what the caller says, when it waits, interrupts, presses keys, hangs up.

Written in TOML, one `[[steps]]` table per action:

    voice = "awb"
    [[steps]]
    do = "wait_for_bot"
    [[steps]]
    do = "say"
    text = "When do you open tomorrow?"
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from gateway.errors import ConfigError, Problem
from gateway.probe.voices import Voice
from gateway.wording import plain


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Say(_Step):
    """Speak a sentence; done when its last frame is sent."""

    do: Literal["say"] = "say"
    text: Annotated[str, Field(min_length=1)]
    voice: Voice | None = None
    """Another voice than the scenario's."""


class Play(_Step):
    """Speak a recording (mono WAV, any rate)."""

    do: Literal["play"] = "play"
    file: Path
    """Relative to the scenario file."""


class WaitForBot(_Step):
    """Wait until the bot has spoken (since the caller's last word) and been silent this long."""

    do: Literal["wait_for_bot"] = "wait_for_bot"
    silence_ms: Annotated[int, Field(gt=0)] = 700
    timeout_s: Annotated[float, Field(gt=0)] = 20.0
    """Until it starts; what it says then may be long."""


class InterruptAfter(_Step):
    """Wait until the bot has been speaking this long; the next step then interrupts."""

    do: Literal["interrupt_after"] = "interrupt_after"
    bot_speech_ms: Annotated[int, Field(ge=0)] = 800
    timeout_s: Annotated[float, Field(gt=0)] = 20.0


class Press(_Step):
    """Press keys."""

    do: Literal["press"] = "press"
    digits: Annotated[str, Field(pattern=r"^[0-9*#A-Da-d]+$")]
    method: Literal["rfc4733", "info"] = "rfc4733"


class Pause(_Step):
    """Send silence."""

    do: Literal["pause"] = "pause"
    ms: Annotated[int, Field(gt=0)]


class Hold(_Step):
    """Put the gateway on hold by re-INVITE."""

    do: Literal["hold"] = "hold"
    direction: Literal["sendonly", "inactive"] = "sendonly"


class Resume(_Step):
    """Take the gateway off hold."""

    do: Literal["resume"] = "resume"


class SwitchCodec(_Step):
    """Offer another codec by re-INVITE."""

    do: Literal["switch_codec"] = "switch_codec"
    codec: Literal["PCMU", "PCMA"]


class HangUp(_Step):
    """Send BYE."""

    do: Literal["hang_up"] = "hang_up"


class ExpectHangup(_Step):
    """Wait for the gateway's BYE."""

    do: Literal["expect_hangup"] = "expect_hangup"
    timeout_s: Annotated[float, Field(gt=0)] = 20.0


Step = Annotated[
    Say
    | Play
    | WaitForBot
    | InterruptAfter
    | Press
    | Pause
    | Hold
    | Resume
    | SwitchCodec
    | HangUp
    | ExpectHangup,
    Field(discriminator="do"),
]


class Scenario(_Step):
    """One call's script.  A call whose script ends without a hang-up is hung up."""

    voice: Voice = "awb"
    """libflite voice: another one than the bot's."""
    codecs: tuple[Literal["PCMU", "PCMA"], ...] = ("PCMU", "PCMA")
    """In order of preference."""
    noise_dbfs: Annotated[float, Field(le=0)] | None = None
    """Level of the white noise sent between utterances; none = digital silence."""
    steps: tuple[Step, ...]


def load(path: Path) -> Scenario:
    """Read a scenario file; WAV paths in it become absolute.

    Raises:
        ConfigError: not readable, no TOML, or not a scenario.
    """
    try:
        text = path.read_text(encoding="utf-8")
        scenario = Scenario.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, "", f"cannot read: {error}")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(str(path), 0, "", str(error))]) from error
    except ValidationError as error:
        raise ConfigError([_problem(path, text, fault) for fault in error.errors()]) from error
    steps = tuple(_absolute(step, path.parent) for step in scenario.steps)
    return scenario.model_copy(update={"steps": steps})


def _absolute(step: Step, folder: Path) -> Step:
    if isinstance(step, Play):
        return step.model_copy(update={"file": folder / step.file})
    return step


def _problem(path: Path, text: str, fault: ErrorDetails) -> Problem:
    """One pydantic fault, with the line of its `[[steps]]` table."""
    place = fault["loc"]
    heads = [n for n, s in enumerate(text.splitlines(), 1) if s.strip() == "[[steps]]"]
    index = place[1] if len(place) > 1 and place[0] == "steps" else None
    line = heads[index] if isinstance(index, int) and index < len(heads) else 0
    return Problem(str(path), line, ".".join(map(str, place)), plain(fault))
