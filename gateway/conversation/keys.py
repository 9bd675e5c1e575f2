"""Keys: what a pressed key does to a conversation."""

from __future__ import annotations

from collections.abc import Callable

from gateway.call import events
from gateway.call.line import Digit
from gateway.conversation.agenda import Agenda
from gateway.conversation.exchange import Asked
from gateway.conversation.first_words import FirstWords
from gateway.conversation.talk import Talk
from gateway.providers.contracts import Typed
from gateway.turn.digits import Entry


class Keys:
    """Handles the caller's keys: they cut the bot, replace words and answer questions."""

    def __init__(
        self,
        talk: Talk,
        first_words: FirstWords,
        agenda: Agenda,
        caller_is_there: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            talk: the conversation.
            first_words: not to be answered by a key before they were begun.
            agenda: what is said next when a key answers nothing.
            caller_is_there: told of a sign of life at an audio time.
        """
        self._talk = talk
        self._first_words = first_words
        self._agenda = agenda
        self._caller_is_there = caller_is_there

    async def pressed(self, event: Digit) -> None:
        """Accept a key."""
        self._talk.call.note(events.KeyPressed(digit=event.digit, method=event.method))
        entered = await self._entry(event.digit)
        if entered is not None:
            await self.entered(entered)

    async def entered(self, entry: Entry) -> None:
        """Answer keys that are a whole entry."""
        talk = self._talk
        if talk.ending is None:
            is_speaking = talk.keypad.gathers and talk.listener.taker.in_turn
            await talk.dialogue.typed(entry, is_speaking=is_speaking)
        else:
            typed: Typed = "ended" if entry.is_ended else "paused"
            talk.leave(Asked(entry.digits, None, talk.expected, typed=typed))

    async def _entry(self, digit: str) -> Entry | None:
        """Accept a key; nothing comes of one over what is about to be done anyhow."""
        talk, opening = self._talk, self._first_words.opening
        now, now_s = talk.call.audio.now, talk.call.audio.now_s
        talk.caller_is_there()
        self._caller_is_there(now)
        talk.listener.taker.caller_is_there(now)
        is_too_late = talk.ending is not None or talk.floor.is_acting
        if is_too_late or talk.call.control.is_transferring:
            return None
        if opening.is_unheard:  # nothing was asked: phones confirm so that they take a call
            talk.listener.drop_turn("replaced")
            opening.heard_out()
            await self._agenda.say_next()
            return None
        opening.go_on()
        if talk.keypad.is_repeated_end(digit, now_s):
            return None
        if talk.keypad.gathers:
            await talk.dialogue.goes_on()  # with the words: what was prepared is void
        else:
            talk.listener.drop_turn("replaced")
        ahead = talk.floor.will_expect
        if talk.agent.config.turn.barge_in.digits:
            await talk.floor.interrupt("digit")
        if ahead is not None:
            talk.expect(ahead)
        return talk.keypad.press(digit, now_s)
