"""Every pair of state and move."""

import itertools

import pytest

from gateway.errors import TurnStateError
from gateway.turn.state import Move, TurnState, after

L, U, T, B, E = TurnState
ALLOWED = {
    (L, Move.SPEECH_STARTED): U,
    (L, Move.REPLY_STARTED): T,
    (L, Move.TURN_ENDED): L,
    (L, Move.TURN_DISCARDED): L,
    (U, Move.TURN_ENDED): L,
    (U, Move.TURN_DISCARDED): L,
    (U, Move.REPLY_STARTED): T,
    (T, Move.FIRST_AUDIO): B,
    (T, Move.REPLY_FINISHED): L,
    (T, Move.INTERRUPTED): L,
    (B, Move.REPLY_FINISHED): L,
    (B, Move.INTERRUPTED): L,
    (L, Move.HUNG_UP): E,
    (U, Move.HUNG_UP): E,
    (T, Move.HUNG_UP): E,
    (B, Move.HUNG_UP): E,
}


@pytest.mark.parametrize(("state", "move"), [*itertools.product(TurnState, Move)])
def test_pairs(state, move):
    if (state, move) in ALLOWED:
        assert after(state, move) is ALLOWED[state, move]
    else:
        with pytest.raises(TurnStateError, match=move.value):
            after(state, move)
