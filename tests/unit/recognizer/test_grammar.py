import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.recognizer.beam import Hypothesis, best_of, extend
from gateway.recognizer.grammar import Grammar
from gateway.recognizer.tokens import END

ONE, TEEN, TWO, COMMA, OTHER = 10, 11, 12, 13, 14
SIZE = 20
WORDS = [[ONE], [ONE, TEEN], [TWO], [COMMA]]


def grammar(name="digits"):
    return Grammar(name, WORDS)


def node_after(tree, tokens):
    node = tree.root
    for token in tokens:
        node = tree.follow(node, token)
    return node


@pytest.mark.parametrize(
    ("said", "may_follow"),
    [
        ([], {ONE, TWO, COMMA, END}),
        ([ONE], {ONE, TEEN, TWO, COMMA, END}),
        ([ONE, TEEN], {ONE, TWO, COMMA, END}),
    ],
)
def test_words_follow_one_another_and_end_where_a_word_ends(said, may_follow):
    tree = grammar()
    assert set(tree.tokens_after(node_after(tree, said))) == may_follow


def test_nothing_ends_in_mid_word():
    tree = Grammar("digits", [[ONE, TEEN], [TWO]])
    assert tree.tokens_after(node_after(tree, [ONE])) == [TEEN]


def search(tree, log_probs, width):
    """What a recognizer would find that hears the same at each place whatever was said before."""
    searched, finished = [Hypothesis(tree.root)], []
    for line in log_probs:
        step = extend(tree, searched, np.repeat(line[None], len(searched), axis=0), width)
        finished += step.finished
        searched = step.open
        assert len(searched) <= width
        assert all(0 <= row < width for row in step.rows)
    return best_of(finished)


def test_what_begins_badly_can_still_be_the_best():
    tree = grammar()
    heard = np.full((1, SIZE), -20.0, np.float32)
    heard[0, ONE], heard[0, TWO] = -0.1, -0.2

    def after(last):
        line = np.full(SIZE, -20.0, np.float32)
        line[END] = -5.0 if last == ONE else -0.1
        return line

    first = extend(tree, [Hypothesis(tree.root)], heard, 2)
    table = np.stack([after(each.last) for each in first.open])
    found = best_of(extend(tree, first.open, table, 2).finished)
    assert found.tokens == (TWO,)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_only_words_of_the_grammar_are_found_and_scores_are_sums(width, seed):
    lines = np.log(np.random.default_rng(seed).dirichlet(np.ones(SIZE), 5)).astype(np.float32)
    found = search(grammar(), lines, width)
    if found is None:
        return
    assert OTHER not in found.tokens
    assert all(found.tokens[at - 1] == ONE for at, t in enumerate(found.tokens) if t == TEEN)
    heard = [float(lines[at][token]) for at, token in enumerate([*found.tokens, END])]
    assert found.log_prob == pytest.approx(sum(heard), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "text", "loss", "suits"),
    [
        ("digits", "4-1-5, five five five.", 4.0, True),
        ("digits", "4-1-5, five five five.", 9.0, False),
        ("digits", "Oh,", 3.4, False),
        ("digits", "3.", 2.4, False),
        ("digits", "Two", 1.0, True),
        ("digits", "It's okay.", -3.0, False),
        ("digits", "My number is double five", 3.5, True),
        ("letters", "S. M. I. T. H.", 5.0, True),
        ("letters", "S-M-I-T-H", 5.0, True),
        ("letters", "And then", -1.0, False),
    ],
)
def test_a_dictation_is_preferred_unless_free_text_is_far_likelier(name, text, loss, suits):
    assert grammar(name).suits(text, loss, -0.5) is suits


def test_a_letter_for_a_sentence_is_not_preferred():
    assert grammar("letters").suits("B E C K", 3.0, -1.4)
    assert not grammar("letters").suits("I", 1.0, -4.9)
