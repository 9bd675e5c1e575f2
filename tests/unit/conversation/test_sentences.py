"""Pieces are cut where people pause, as early as is certain, however the stream was chunked."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.conversation.sentences import MAX_PIECE_WORDS, SentenceSplitter


def split(*deltas: str) -> list[str]:
    splitter = SentenceSplitter()
    pieces = [piece for delta in deltas for piece in splitter.push(delta)]
    return pieces + splitter.flush()


def split_later(text: str) -> list[str]:
    """Without the early first cut."""
    return split("Well. " + text)[1:]


@pytest.mark.parametrize(
    "sentence",
    [
        "It costs 3.50 for one.",
        "We sold 1,000 of them.",
        "Come at 9.30 or so.",
        "We close at 5 p.m. every day.",
        "It opens at 8 a.m. on weekdays.",
        "Mr. Smith is out.",
        "Ask Dr. Jones or Mrs. Brown.",
        "Take fruit, e.g. apples or pears, i.e. food.",
        "It is on St. Mary's Road.",
        "Please take No. 5 today.",
        "It takes approx. ten minutes.",
        "J. R. R. Tolkien wrote it.",
        "See https://example.com/a.b?c=d.e for more.",
        "Write to a.b@example.co.uk please.",
        "Wait... what was that?",
        "Wait… what was that?",
        "Am 3. Mai und am 4. des Monats.",
        "The U.S. office is closed.",
        "It is at 5 Main Ave. in town.",
        "Read [this page. It is good](https://x.y/z) first.",
        "Version 2.1.3 is out.",
    ],
)
def test_a_dot_that_ends_nothing(sentence: str):
    assert split_later(sentence + " Then more.") == [sentence, "Then more."]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("Really?! Yes! No.", ["Really?!", "Yes!", "No."]),
        ('He said "Yes." Then he left.', ['He said "Yes."', "Then he left."]),
        ("**Great!** Let's go.", ["**Great!**", "Let's go."]),
        ("At 5 p.m. The doors close.", ["At 5 p.m.", "The doors close."]),
        ("Well... Maybe not.", ["Well...", "Maybe not."]),
        ("No. I am not.", ["No.", "I am not."]),
        ("So do I. Then we agree.", ["So do I.", "Then we agree."]),
        ("A table for 4. Very well.", ["A table for 4.", "Very well."]),
        ("We have:\n1. Coffee\n2. Tea", ["We have:", "1. Coffee", "2. Tea"]),
        ("- Coffee\n- Tea\n\nThat is all.", ["- Coffee", "- Tea", "That is all."]),
        ("a line that is\nonly wrapped.", ["a line that is\nonly wrapped."]),
        ("你好。我是机器人。再见", ["你好。", "我是机器人。", "再见"]),
        ("「はい。」そうです。", ["「はい。」", "そうです。"]),
        ("هل أنت هنا؟ نعم.", ["هل أنت هنا؟ نعم."]),
        ("```\na. b. c\n``` Done. Next.", ["```\na. b. c\n``` Done.", "Next."]),
        ("Oh! 😀 Fine.", ["Oh!", "😀 Fine."]),
        ("... Hello.", ["... Hello."]),
        ("", []),
        ("  \n ", []),
        ("😀", ["😀"]),
    ],
)
def test_where_sentences_end(text: str, pieces: list[str]):
    assert split(text) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "Thanks for calling today, how can I help, sir? Tell me, please do.",
            ["Thanks for calling today,", "how can I help, sir?", "Tell me, please do."],
        ),
        ("Yes, sure, of course we do.", ["Yes,", "sure, of course we do."]),
        ("You can have this: coffee.", ["You can have this:", "coffee."]),
        ("That is the price - or so.", ["That is the price -", "or so."]),
        ("We are open 9 a.m. - 5 p.m. daily.", ["We are open 9 a.m. - 5 p.m. daily."]),
        ("It costs more than 1,000 or 10:30.", ["It costs more than 1,000 or 10:30."]),
    ],
)
def test_the_first_piece_may_end_at_a_clause(text: str, pieces: list[str]):
    assert split(text) == pieces


def test_a_piece_comes_as_soon_as_the_next_character_shows():
    splitter = SentenceSplitter()
    assert splitter.push("It is 3.") == []
    assert splitter.push("50 now.") == []
    assert splitter.push(" ") == ["It is 3.50 now."]
    assert splitter.push("Bye.") == []
    assert splitter.flush() == ["Bye."]


def test_a_run_on_is_cut_at_its_last_clause_or_at_the_limit():
    words = [f"w{number}" for number in range(70)]
    pieces = split_later(" ".join(words))
    assert [len(piece.split()) for piece in pieces] == [MAX_PIECE_WORDS, MAX_PIECE_WORDS, 10]
    words[19] += ","
    pieces = split_later(" ".join(words))
    assert [len(piece.split()) for piece in pieces] == [20, MAX_PIECE_WORDS, 20]


def test_a_splitter_can_be_used_again_after_flush():
    splitter = SentenceSplitter()
    splitter.push("One reply.")
    splitter.flush()
    assert splitter.push("Here is another one, first part") == ["Here is another one,"]


bits = st.sampled_from(
    [
        *("a", "I", "Dr.", "No.", "5", "3.50", "e.g.", "p.m.", "U.S.", "4.", "Mai", "Then"),
        *("x,", "y;", "z:", "-", "—", ".", "...", "…", "!", "?!", '"', ")", "**", "[", "]"),
        *("```", "\n", "\n\n", "。", "」", "、", "é", "😀", "word", "https://a.b/c."),
    ]
)
texts = st.lists(st.tuples(bits, st.sampled_from(["", " ", " ", "\n"])), max_size=40).map(
    lambda pairs: "".join(bit + gap for bit, gap in pairs)
)


@given(texts, st.lists(st.integers(1, 9), min_size=1))
@example("はい。」そう", [1])
@example('He said "Go." Then', [1])
def test_chunking_changes_nothing(text: str, sizes: list[int]):
    deltas, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        deltas.append(text[at : at + size])
        at, turn = at + size, turn + 1
    assert split(*deltas) == split(text)


@given(st.one_of(texts, st.text()))
def test_no_text_is_lost_or_made_up(text: str):
    assert "".join("".join(split(text)).split()) == "".join(text.split())


@given(st.one_of(texts, st.text()))
def test_pieces_are_trimmed_and_not_empty(text: str):
    assert all(piece and piece == piece.strip() for piece in split(text))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("We are open every day of the week and you can come whenever it suits you best",
         "We are open every day of the week"),
        ("The table that you have asked for yesterday is still free for two at eight",
         "The table that you have asked for yesterday is still free"),
        ("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen",
         "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"),
        ("Sie k\u00f6nnen morgen gerne ab neun Uhr vorbeikommen weil dann jemand da ist",
         "Sie k\u00f6nnen morgen gerne ab neun Uhr vorbeikommen"),
        ("We open at nine and close at six.", "We open at nine and close at six."),
    ],
)  # fmt: skip
def test_a_first_piece_without_marks_ends_at_a_phrase(text, first):
    whole = SentenceSplitter()
    assert [*whole.push(text), *whole.flush()][0] == first
    stream, pieces = SentenceSplitter(), []
    for character in text:
        pieces += stream.push(character)
    assert [*pieces, *stream.flush()][0] == first
    assert " ".join([*pieces, *SentenceSplitter().flush()]).startswith(first) or not pieces


def test_later_pieces_are_not_cut_at_phrases():
    splitter = SentenceSplitter()
    later = "you can come whenever it suits you best of all and bring whom you like to bring"
    assert [*splitter.push(f"Good morning. {later}. "), *splitter.flush()][1] == f"{later}."
