"""ControlFollower: what a conversation does about transfers and keys, of the agent or of others."""

from __future__ import annotations

from gateway.call.control import ControlBegan, ControlEnded
from gateway.conversation.action_runner import ActionRunner
from gateway.conversation.agenda import Agenda
from gateway.conversation.talk import Ending, Talk


class ControlFollower:
    """Mutes, waits and goes on while the call's control acts."""

    def __init__(self, talk: Talk, agenda: Agenda, actions: ActionRunner) -> None:
        self._talk = talk
        self._agenda = agenda
        self._actions = actions

    async def changed(self, event: ControlBegan | ControlEnded) -> None:
        """Note that something is under way, or has come to its end."""
        if isinstance(event, ControlBegan):
            if event.what == "transfer":
                self._talk.mute("transfer")
                await self._talk.floor.interrupt("operator")
            return
        if event.what == "transfer":
            await self._transfer_ended(event)
        else:
            await self._keys_ended(event)
        await self._agenda.go_on()

    async def _keys_ended(self, event: ControlEnded) -> None:
        talk = self._talk
        talk.listener.taker.caller_is_there(talk.call.audio.now)  # silence counts from now on
        failed = self._actions.failed(event)
        if failed is None:
            return
        talk.context.amend([failed.told])
        is_free = not (talk.ending or talk.floor.is_bots or self._actions.is_waiting)
        if is_free and failed.is_followed:
            await talk.dialogue.answer()

    async def _transfer_ended(self, event: ControlEnded) -> None:
        talk = self._talk
        if event.error is None:
            talk.ending = Ending("transferred", event.detail)
            return
        failed = self._actions.failed(event)
        talk.unmute("transfer")
        if failed is not None:
            talk.context.amend([failed.told])
        if talk.ending is not None or talk.floor.is_bots or self._actions.is_waiting:
            return
        if failed is not None and failed.is_followed:
            await talk.dialogue.answer()
        else:
            await talk.say(talk.agent.config.transfer_failed)
