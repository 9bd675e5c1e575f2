"""What a tool may ask of the call, done only after what was said before it has been heard.

The built-in tools have no side effects of their own: they return an action, which is dropped with
the reply that asked for it when that is never heard to its end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.config.models import BuiltinTool
from gateway.config.models.pace import Pace
from gateway.conversation.asking import hinted
from gateway.conversation.function_tool import FunctionTool, tool
from gateway.errors import SipError, ToolError
from gateway.languages import language_name
from gateway.providers.contracts import Expect, ToolResult


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Hand the caller over."""

    target: str
    """SIP URI."""
    name: str = ""
    """What the agent's configuration calls it."""


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Press keys."""

    digits: str


@dataclass(frozen=True, slots=True)
class ChangeAgent:
    """Let another agent lead the call."""

    agent: str


@dataclass(frozen=True, slots=True)
class ChangeLanguage:
    """Go on in another language."""

    language: str


@dataclass(frozen=True, slots=True)
class PauseRecording:
    """Leave out of the record what is said, or record again.  Done at once, not after playout."""

    paused: bool


@dataclass(frozen=True, slots=True)
class ExpectAnswer:
    """Hear the caller out on what was just asked.  Done at once, not after playout."""

    expect: Expect


@dataclass(frozen=True, slots=True)
class ChangePace:
    """Speak slower, faster or as configured.  Done at once, from the next sentence on."""

    pace: Pace


Action = HangUp | Transfer | SendDigits | ChangeAgent | ChangeLanguage
"""Done after playout."""


INTERRUPTED = "not done: the caller interrupted before you had finished speaking"
FAILED = "not done: what you said before could not be spoken to its end"


def undone_action(told: ToolResult, why: str = INTERRUPTED) -> ToolResult:
    """Make the result of an action that was dropped with its reply."""
    return replace(told, content=json.dumps({"error": why}), is_error=True, is_undone=True)


def failed_action(told: ToolResult, error: SipError) -> ToolResult:
    """Make the result of an action that was tried and failed."""
    return replace(told, content=json.dumps({"error": str(error)}), is_error=True)


def changed_agent(told: ToolResult, agent: str) -> ToolResult:
    """Make the result that the agent reads which leads the call now."""
    return replace(told, content=json.dumps({"status": f"done: you lead the call now, {agent}"}))


def changed_language(told: ToolResult, language: str) -> ToolResult:
    """Make the result that the agent reads once the call goes on in another language."""
    status = f"done: the caller hears and speaks {language_name(language)} from now on"
    return replace(told, content=json.dumps({"status": status}))


def builtin_tools(
    names: Iterable[BuiltinTool],
    transfer_targets: Mapping[str, str],
    agent_targets: Sequence[str] = (),
    languages: Sequence[str] = (),
) -> tuple[FunctionTool, ...]:
    """Make the built-in tools of an agent.

    Args:
        names: which ones.
        transfer_targets: name -> SIP URI; `transfer_call` is left out when there are none.
        agent_targets: names of agents; `change_agent` is left out when there are none.
        languages: tags (BCP 47); `change_language` is left out when there are none.

    Raises:
        ToolError: no such built-in.
    """
    functions: dict[str, Callable[..., Action | PauseRecording | ExpectAnswer | ChangePace]] = {
        "hang_up": hang_up,
        "send_dtmf": send_dtmf,
        "pause_recording": pause_recording,
        "resume_recording": resume_recording,
        "expect_answer": expect_answer,
        "speaking_rate": speaking_rate,
    }
    tools = []
    for name in names:
        if name == "transfer_call":
            if transfer_targets:
                tools.append(_transfer_tool(transfer_targets))
        elif name == "change_agent":
            if agent_targets:
                tools.append(_change_tool(agent_targets))
        elif name == "change_language":
            if languages:
                tools.append(_language_tool(languages))
        elif name in functions:
            tools.append(FunctionTool.of(functions[name]))
        else:
            raise ToolError(name, "no such built-in tool")
    return tuple(tools)


@tool(side_effects=False)
def hang_up(reason: str = "") -> HangUp:
    """End the call. Say goodbye first: what you have said is played to its end before.

    Args:
        reason: for the record, a few words.
    """
    return HangUp(reason)


@tool(side_effects=False)
def send_dtmf(
    digits: Annotated[str, Field(pattern=r"^[0-9A-D*#]+$", max_length=32)],
) -> SendDigits:
    """Press telephone keys, for example to get through another system's menu.

    Args:
        digits: keys in order, of 0-9, *, # and A-D.
    """
    return SendDigits(digits)


@tool(side_effects=False)
def expect_answer(
    kind: Literal[
        "phone_number", "digits", "spelling", "email", "date", "name", "time", "yes_no", "free"
    ],
    digits: Annotated[int | None, Field(ge=1, le=30)] = None,
) -> ExpectAnswer:
    """Tell what you ask the caller for, together with the question: numbers are heard to their end.

    Args:
        kind: of answer.
        digits: how many digits it has, where that is known.
    """
    expect = hinted(kind, digits)
    assert expect is not None  # noqa: S101 - the kinds above are known
    return ExpectAnswer(expect)


# These have a side effect: they never run for a reply that may not be spoken.
def speaking_rate(rate: Pace) -> ChangePace:
    """Speak slower or faster from your next sentence on. Use it when the caller asks for it.

    Args:
        rate: compared with now; normal is as at the beginning of the call.
    """
    return ChangePace(rate)


def pause_recording() -> PauseRecording:
    """Stop recording the call. Do it before you ask for card numbers, codes or passwords."""
    return PauseRecording(paused=True)


def resume_recording() -> PauseRecording:
    """Record the call again, after what must not be recorded has been said."""
    return PauseRecording(paused=False)


def _transfer_tool(targets: Mapping[str, str]) -> FunctionTool:
    @tool(side_effects=False)
    def transfer_call(target: str) -> Transfer:
        """Transfer the caller to another person. Tell them first: it is played to its end before.

        Args:
            target: the person or department.
        """
        return Transfer(targets[target], target)

    names: Any = Literal[tuple(targets)]
    transfer_call.__annotations__["target"] = names
    return FunctionTool.of(transfer_call)


def _change_tool(targets: Sequence[str]) -> FunctionTool:
    @tool(side_effects=False)
    def change_agent(agent: str) -> ChangeAgent:
        """Let another assistant lead this call; it knows what was said. Tell the caller first.

        Args:
            agent: the assistant.
        """
        return ChangeAgent(agent)

    names: Any = Literal[tuple(targets)]
    change_agent.__annotations__["agent"] = names
    return FunctionTool.of(change_agent)


def _language_tool(languages: Sequence[str]) -> FunctionTool:
    @tool(side_effects=False)
    def change_language(language: str) -> ChangeLanguage:
        """Go on in another language that the caller speaks or asks for: voice and ears follow.

        Args:
            language: its code.
        """
        return ChangeLanguage(language)

    names: Any = Literal[tuple(languages)]
    change_language.__annotations__["language"] = names
    return FunctionTool.of(change_language)
