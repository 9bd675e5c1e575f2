"""Commands of the API and the operator to one call."""

from __future__ import annotations

import asyncio

from gateway.call.control import ControlEnded
from gateway.call.line import End
from gateway.call.live_call import EagernessRequest, LiveCall, SayRequest
from gateway.call.session import CallSession
from gateway.errors import CallNotFound, CommandError, ProviderError
from gateway.process import messages as m

CallCommand = (
    m.HangUp
    | m.Transfer
    | m.Say
    | m.Dtmf
    | m.SetEagerness
    | m.ChangeAgent
    | m.ChangeLanguage
    | m.SetRecording
)


async def act_on_call(session: CallSession, command: CallCommand) -> None:
    """Execute a command to a call in progress.  Raises GatewayError."""
    match command:
        case m.HangUp():
            await session.hang_up(End("hung_up_by_api", "by request"))
        case m.Transfer(target=target):
            control = _answered(session).control
            await _success(control.transfer(target, "api"))
            await session.hang_up(End("transferred", target))
        case m.Dtmf(digits=digits):
            control = _answered(session).control
            await _success(control.send_digits(digits, "api"))
        case m.Say(text=text):
            _live(session).inbox.put_nowait(SayRequest(text))
        case m.SetEagerness(eagerness=eagerness):
            _live(session).inbox.put_nowait(EagernessRequest(eagerness))
        case m.ChangeAgent(agent=agent, cut=cut):
            _answered(session).control.change_agent(agent, "api", cut=cut)
        case m.ChangeLanguage(language=language, cut=cut):
            _answered(session).control.change_language(language, "api", cut=cut)
        case m.SetRecording(paused=paused):
            _live(session).pause_recording(paused=paused)


async def change_settings(session: CallSession, command: m.ChangeSettings) -> m.SettingsChanged:
    """Have a call go by other settings.  Raises GatewayError."""
    control = _answered(session).control
    try:
        changed = await control.change_settings(command.settings, "api")
    except ProviderError as error:
        status = 503 if error.retryable else 422
        raise CommandError(status, f"nothing is changed: {error}") from error
    return m.SettingsChanged(changed=changed)


async def _success(task: asyncio.Task[ControlEnded]) -> None:
    """Wait for the end of a transfer or keys, which go on without us.  Raises SipError."""
    await asyncio.wait([task])
    if task.cancelled():
        raise CallNotFound(404, "the call has ended")
    error = task.result().error
    if error is not None:
        raise error


def _live(session: CallSession) -> LiveCall:
    if session.live is None:
        raise CallNotFound(404, f"call {session.record.call_id} is not up yet")
    return session.live


def _answered(session: CallSession) -> LiveCall:
    """Return the parts of a call that is up; nothing else can be transferred or take keys."""
    if session.record.answered_at is None:
        raise CommandError(409, f"call {session.record.call_id} is not answered yet")
    return _live(session)
