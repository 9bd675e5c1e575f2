"""What a reply was to do, done after it was heard: one action after the other, none waited for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from gateway.call.control import CallControl, ControlEnded
from gateway.conversation.actions import (
    Action,
    ChangeAgent,
    ChangeLanguage,
    HangUp,
    SendDigits,
    Transfer,
    failed_action,
)
from gateway.conversation.reply import Outcome
from gateway.providers.contracts import ToolResult


@dataclass(frozen=True, slots=True)
class Asked:
    """An action that the language model has asked for."""

    action: Action
    told: ToolResult
    """The result that the model has received for it."""
    is_followed: bool
    """The model is to answer when it fails."""


class ActionRunner:
    """Passes the actions of replies to the call's control.  Loop thread only."""

    def __init__(self, control: CallControl) -> None:
        self._control = control
        self._waiting: deque[Asked] = deque()
        self._running: Asked | None = None

    @property
    def is_waiting(self) -> bool:
        """True while something is still to be done."""
        return bool(self._waiting)

    def add(self, outcome: Outcome) -> None:
        """Accept the actions of a reply that was heard to its end."""
        self._waiting.extend(
            Asked(action, told, told.call_id in outcome.followed)
            for action, told in zip(outcome.actions, outcome.action_results, strict=True)
        )

    def run(self) -> Asked | None:
        """Begin what is due; return what ends this conversation: a hang-up, another agent."""
        while self._waiting and not self._control.is_busy:
            asked = self._waiting.popleft()
            match asked.action:
                case HangUp() | ChangeAgent() | ChangeLanguage():
                    return asked
                case Transfer(target=target):
                    self._running = asked
                    self._control.transfer(target, "agent")
                case SendDigits(digits=digits):
                    self._running = asked
                    self._control.send_digits(digits, "agent")
        return None

    def failed(self, end: ControlEnded) -> Asked | None:
        """Note that an action has ended; nothing follows a transfer that failed.

        Returns:
            The failed action with the result that the model is to receive now; None if it has not
            failed, or was not the model's.
        """
        if end.by != "agent":
            return None
        asked, self._running = self._running, None
        if asked is None or end.error is None:
            return None
        if end.what == "transfer":
            self._waiting.clear()
        return replace(asked, told=failed_action(asked.told, end.error))
