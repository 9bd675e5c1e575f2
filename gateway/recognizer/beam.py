"""One step of a beam search through a grammar.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.recognizer.grammar import Grammar, Node
from gateway.recognizer.tokens import BEGIN, END


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What may have been said so far."""

    node: Node
    tokens: tuple[int, ...] = ()
    log_prob: float = 0.0

    @property
    def last(self) -> int:
        """The token that the model is given next."""
        return self.tokens[-1] if self.tokens else BEGIN


@dataclass(frozen=True, slots=True)
class Step:
    """Hypotheses one token later, likeliest first."""

    open: list[Hypothesis]
    rows: list[int]
    """For each open one, the hypothesis that it comes from."""
    finished: list[Hypothesis]


def extend(
    grammar: Grammar,
    hypotheses: Sequence[Hypothesis],
    log_probs: npt.NDArray[np.float32],
    width: int,
) -> Step:
    """Go on by one token.

    Args:
        grammar: what may be said.
        hypotheses: open ones, at least one.
        log_probs: of each token after each of them, float32[hypotheses, vocabulary].
        width: how many may stay open.
    """
    followers = []
    for row, (hypothesis, line) in enumerate(zip(hypotheses, log_probs, strict=True)):
        allowed = np.array(grammar.tokens_after(hypothesis.node))
        best = allowed[np.argsort(-line[allowed], kind="stable")[: width + 1]]
        followers += [(hypothesis.log_prob + float(line[token]), row, int(token)) for token in best]
    followers.sort(key=lambda each: -each[0])
    step = Step([], [], [])
    for log_prob, row, token in followers:
        before = hypotheses[row]
        if token == END:
            step.finished.append(Hypothesis(before.node, before.tokens, log_prob))
        elif len(step.open) < width:
            node = grammar.follow(before.node, token)
            step.open.append(Hypothesis(node, (*before.tokens, token), log_prob))
            step.rows.append(row)
    return step


def best_of(hypotheses: Sequence[Hypothesis]) -> Hypothesis | None:
    """Return the likeliest hypothesis."""
    return max(hypotheses, key=lambda each: each.log_prob, default=None)
