"""TurnState: who has the floor.  Everything that changes it lives here, in one table."""

from __future__ import annotations

from enum import Enum

from gateway.errors import TurnStateError


class TurnState(Enum):
    """Whose move it is."""

    LISTENING = "listening"
    USER_SPEAKING = "user_speaking"
    THINKING = "thinking"
    BOT_SPEAKING = "bot_speaking"
    ENDED = "ended"


class Move(Enum):
    """What happened."""

    SPEECH_STARTED = "speech_started"
    TURN_ENDED = "turn_ended"
    TURN_DISCARDED = "turn_discarded"
    REPLY_STARTED = "reply_started"
    FIRST_AUDIO = "first_audio"
    REPLY_FINISHED = "reply_finished"
    INTERRUPTED = "interrupted"
    HUNG_UP = "hung_up"


_TABLE: dict[tuple[TurnState, Move], TurnState] = {
    (TurnState.LISTENING, Move.SPEECH_STARTED): TurnState.USER_SPEAKING,
    (TurnState.LISTENING, Move.REPLY_STARTED): TurnState.THINKING,
    # A turn that began while an uninterruptible bot spoke ends after it.
    (TurnState.LISTENING, Move.TURN_ENDED): TurnState.LISTENING,
    (TurnState.LISTENING, Move.TURN_DISCARDED): TurnState.LISTENING,
    (TurnState.USER_SPEAKING, Move.TURN_ENDED): TurnState.LISTENING,
    (TurnState.USER_SPEAKING, Move.TURN_DISCARDED): TurnState.LISTENING,
    # A prompt of the operator (API `say`) does not wait for the caller's turn to end.
    (TurnState.USER_SPEAKING, Move.REPLY_STARTED): TurnState.THINKING,
    (TurnState.THINKING, Move.FIRST_AUDIO): TurnState.BOT_SPEAKING,
    (TurnState.THINKING, Move.REPLY_FINISHED): TurnState.LISTENING,
    (TurnState.THINKING, Move.INTERRUPTED): TurnState.LISTENING,
    (TurnState.BOT_SPEAKING, Move.REPLY_FINISHED): TurnState.LISTENING,
    (TurnState.BOT_SPEAKING, Move.INTERRUPTED): TurnState.LISTENING,
    **{
        (state, Move.HUNG_UP): TurnState.ENDED
        for state in TurnState
        if state is not TurnState.ENDED
    },
}


def after(state: TurnState, move: Move) -> TurnState:
    """The state that follows.

    Raises:
        TurnStateError: a move that this state does not allow: our bug.
    """
    try:
        return _TABLE[state, move]
    except KeyError:
        raise TurnStateError(f"{move.value} while {state.value}") from None
