"""What of a model's text is for the caller, in every format of the field, however it is cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.providers.contracts import Retracted, TextDelta, Thinking
from gateway.providers.reply_text import ReplyText

TOOLS = ("opening_hours", "book_table")
OPEN = "We open at nine."
HOURS = ("opening_hours", {"day": "saturday"})
ARGS = '{"day": "saturday"}'
JSON_CALL = '{"name": "opening_hours", "arguments": {"day": "saturday"}}'


def heard(reply: ReplyText, *pieces: str) -> str:
    """What is left for the caller; what is taken back was not spoken yet."""
    text = ""
    for events in (*(reply.feed(piece) for piece in pieces), reply.finish()):
        for event in events:
            text = "" if isinstance(event, Retracted) else text
            text += event.text if isinstance(event, TextDelta) else ""
    return text.strip()


def calls(reply: ReplyText) -> list[tuple[str, object]]:
    return [(name, json.loads(arguments)) for name, arguments in reply.calls]


def chunked(text: str, size: int) -> list[str]:
    return [text[n : n + size] for n in range(0, len(text), size)]


THOUGHTS = [
    f"<think>Who is it?</think>{OPEN}",
    f"<think>\nWho?\n</think>\n\n{OPEN}",
    f"<think></think>{OPEN}",
    f"<thinking>a < b, c > d</thinking> {OPEN}",
    f"<THINK>hm</THINK>{OPEN}",
    f"<reasoning>hm</reasoning>{OPEN}",
    f"<thought>hm</thought>{OPEN}",
    f"<think>a</think> <think>b</think> {OPEN}",
    f"<seed:think>hm</seed:think>{OPEN}",
    f"[THINK]hm[/THINK]{OPEN}",
    f"\u25c1think\u25b7hm\u25c1/think\u25b7{OPEN}",
    f"<|begin_of_thought|>hm<|end_of_thought|>{OPEN}",
    f"<|START_THINKING|>hm<|END_THINKING|>{OPEN}",
    f"<|channel>thought\nhm<channel|>{OPEN}",
    f"<|channel|>analysis<|message|>Hours?<|end|><|start|>assistant<|channel|>final<|message|>{OPEN}"
    "<|return|>",
    f"<|start|>assistant<|channel|>analysis<|message|>x<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{OPEN}",
    f"analysisThe user asks for hours.assistantfinal{OPEN}",
    f"analysisThe user asks. assistant final{OPEN}",
    f"Okay, the caller asks for the hours. I should be brief. </think> {OPEN}",
    f"It is about the hours, which I know. </think> {OPEN}",
    f"The day is Saturday then.\n</thinking>\n{OPEN}",
    f"Hm [/THINK]{OPEN}",
    f"Nine, or ten?\u25c1/think\u25b7{OPEN}",
    f"{OPEN}<|im_end|>",
    f"{OPEN}<|im_end|>\n<|im_start|>user\nAnd when do you close?",
    f"{OPEN}</s>",
    f"{OPEN}<|eot_id|>and more",
]


@pytest.mark.parametrize("text", THOUGHTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("is_known", [False, True])
def test_only_the_answer_is_heard(text: str, size: int, is_known: bool):
    reply = ReplyText(TOOLS, is_known=is_known)
    assert heard(reply, *chunked(text, size)) == OPEN
    assert reply.calls == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Sure. <think>which day?</think> We open at nine.", "Sure.  We open at nine."),
        ("Well <thinking>hm</thinking>, at nine.", "Well , at nine."),
        ("<think>never closed, it goes on", ""),
        ("<think>", ""),
        ("<|channel|>analysis<|message|>cut", ""),
        ("", ""),
        ("2 < 3 and 4 > 3", "2 < 3 and 4 > 3"),
        ("Say <b>now</b>.", "Say <b>now</b>."),
        ("a [link](http://x.y) to it", "a [link](http://x.y) to it"),
        ("Final words.", "Final words."),
        ("analysis of it shows", "analysis of it shows"),
        ("The final call to you", "The final call to you"),
        ("opening_hours", "opening_hours"),
        ("The user is you.", "The user is you."),
        ("<thi", "<thi"),
        ("we go to", "we go to"),
        ("{curly} words", "{curly} words"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_is_no_thought_stays(text: str, left: str, size: int):
    assert heard(ReplyText(TOOLS), *chunked(text, size)) == left


CALLS = [
    f"<tool_call>{JSON_CALL}</tool_call>",
    f"<tool_call>\n{JSON_CALL}\n</tool_call>",
    f"<tool_call>{JSON_CALL}",
    '<tool_call>{"name": "opening_hours", "arguments": {"day": "saturday"}</tool_call>',
    '<tool_call>{"name": "opening_hours", "arguments": "{\\"day\\": \\"saturday\\"}"}</tool_call>',
    "<tool_call>{'name': 'opening_hours', 'arguments': {'day': 'saturday'}}</tool_call>",
    '<tool_call>{"name": "opening_hours", "parameters": {"day": "saturday"}}</tool_call>',
    "<tool_call><function=opening_hours><parameter=day>saturday</parameter></function></tool_call>",
    "<tool_call>\n<function=opening_hours>\n<parameter=day>\nsaturday\n</parameter>\n</function>\n"
    "</tool_call>",
    "<tool_call>opening_hours\n<arg_key>day</arg_key>\n<arg_value>saturday</arg_value></tool_call>",
    f"[TOOL_CALLS][{JSON_CALL}]",
    f"[TOOL_CALLS] [{JSON_CALL}]",
    f"[TOOL_CALLS]opening_hours{ARGS}",
    f"[TOOL_CALLS]opening_hours[ARGS]{ARGS}",
    f"[TOOL_CALLS]opening_hours[CALL_ID]abcdefghi[ARGS]{ARGS}",
    f"[TOOL_REQUEST]{JSON_CALL}[END_TOOL_REQUEST]",
    f"to=functions.opening_hours json {ARGS}",
    f"to=functions.opening_hours json\n{ARGS}",
    f"commentary to=functions.opening_hours json{ARGS}",
    f"assistant to=functions.opening_hours code {ARGS}",
    f"assistantcommentary to=functions.opening_hours json {ARGS}",
    f"analysisNeed the hours.assistantcommentary to=functions.opening_hours json{ARGS}",
    f"<|channel|>commentary to=functions.opening_hours <|constrain|>json<|message|>{ARGS}<|call|>",
    f"<|channel|>analysis<|message|>Need it.<|end|><|start|>assistant<|channel|>commentary"
    f" to=functions.opening_hours <|constrain|>json<|message|>{ARGS}<|call|>",
    f"<|start|>assistant to=functions.opening_hours<|channel|>commentary<|message|>{ARGS}<|call|>",
    f"```json\n{JSON_CALL}\n```",
    f"```\n{JSON_CALL}\n```",
    f'```json\n[{{"tool": "opening_hours", "args": {ARGS}}}]\n```',
    '```tool_code\nopening_hours(day="saturday")\n```',
    "```tool_code\nprint(default_api.opening_hours(day='saturday'))\n```",
    f"<function=opening_hours>{ARGS}</function>",
    f"<function=opening_hours>{ARGS}",
    "<function=opening_hours><parameter=day>saturday</parameter></function>",
    f'<function name="opening_hours">{ARGS}</function>',
    f"<function_call>{JSON_CALL}</function_call>",
    f"<functioncall> {JSON_CALL}",
    '<function_calls><invoke name="opening_hours"><parameter name="day">saturday</parameter>'
    "</invoke></function_calls>",
    '<minimax:tool_call><invoke name="opening_hours"><parameter name="day">saturday</parameter>'
    "</invoke></minimax:tool_call>",
    f"<|python_tag|>{JSON_CALL}",
    '<|python_tag|>opening_hours.call(day="saturday")',
    f"<|tool_call|>[{JSON_CALL}]<|/tool_call|>",
    f"<TOOLCALL>[{JSON_CALL}]</TOOLCALL>",
    '<|tool_call_start|>[opening_hours(day="saturday")]<|tool_call_end|>',
    "<\uff5ctool\u2581calls\u2581begin\uff5c><\uff5ctool\u2581call\u2581begin\uff5c>function<\uff5ctool\u2581sep\uff5c>"
    f"opening_hours\n```json\n{ARGS}\n```<\uff5ctool\u2581call\u2581end\uff5c><\uff5ctool\u2581calls\u2581end\uff5c>",
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.opening_hours:0"
    f"<|tool_call_argument_begin|>{ARGS}<|tool_call_end|><|tool_calls_section_end|>",
    "<start_function_call>call:opening_hours{day:<escape>saturday<escape>}<end_function_call>",
    '<|tool_call>call:opening_hours{day:<|"|>saturday<|"|>}<tool_call|>',
    JSON_CALL,
    f"[{JSON_CALL}]",
    f'{{"tool_calls": [{{"type": "function", "function": {JSON_CALL}}}]}}',
    f'{{"opening_hours": {ARGS}}}',
    '[opening_hours(day="saturday")]',
    'opening_hours(day="saturday")',
    f"opening_hours\n{ARGS}",
    f"functions.opening_hours({ARGS})",
    f"<think>I need it.</think><tool_call>{JSON_CALL}</tool_call>",
    f"<tool_call>{JSON_CALL}</tool_call><tool_response>nine</tool_response>",
]


@pytest.mark.parametrize("text", CALLS)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_calls_that_were_written_as_text_are_made_and_never_heard(text: str, size: int):
    reply = ReplyText(TOOLS)
    assert heard(reply, *chunked(text, size)) == ""
    assert calls(reply) == [HOURS]


@pytest.mark.parametrize("text", CALLS[:30])
def test_what_was_said_before_a_call_is_heard(text: str):
    if text.startswith(("commentary", "assistant", "analysis")):
        return  # channels are named at the beginning only
    reply = ReplyText(TOOLS)
    assert heard(reply, *chunked(f"One moment, please.\n{text}", 5)) == "One moment, please."
    assert calls(reply) == [HOURS]


@pytest.mark.parametrize("text", CALLS)
def test_a_call_of_an_unknown_tool_is_an_empty_answer(text: str):
    reply = ReplyText(("other",))
    left = heard(reply, *chunked(text, 3))
    assert reply.calls == []
    if not text.startswith(("opening_hours", "[opening_hours", "functions.")):
        assert "saturday" not in left.replace("```", "")


def test_several_calls_of_one_text():
    book = '{"name": "book_table", "arguments": {"guests": 2}}'
    both = [HOURS, ("book_table", {"guests": 2})]
    for text in (
        f"<tool_call>{JSON_CALL}</tool_call>\n<tool_call>{book}</tool_call>",
        f"[TOOL_CALLS][{JSON_CALL}, {book}]",
        f'[TOOL_CALLS]opening_hours[ARGS]{ARGS}[TOOL_CALLS]book_table[ARGS]{{"guests": 2}}',
    ):
        reply = ReplyText(TOOLS)
        assert heard(reply, *chunked(text, 3)) == ""
        assert calls(reply) == both


def test_thoughts_are_a_sign_of_life():
    reply = ReplyText()
    events = [event for piece in ("<think>", "a", "b") for event in reply.feed(piece)]
    assert Thinking() in events


def test_a_model_that_is_known_to_think_unopened_is_not_heard_before_the_end_of_it():
    reply = ReplyText(waits_for_end=True)
    events = [
        event for piece in chunked("Hm, nine.</think>At nine.", 3) for event in reply.feed(piece)
    ]
    assert Retracted() not in events
    assert "".join(e.text for e in events if isinstance(e, TextDelta)).strip() == "At nine."
    assert heard(ReplyText(waits_for_end=True), "No end", " at all.") == "No end at all."


@given(st.sampled_from(THOUGHTS + CALLS), st.lists(st.integers(0, 200), max_size=8))
@settings(max_examples=200)
def test_cuts_change_nothing(text: str, places: list[int]):
    cuts = sorted(min(place, len(text)) for place in places)
    pieces = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
    one, other = ReplyText(TOOLS), ReplyText(TOOLS)
    assert heard(one, *pieces) == heard(other, text)
    assert one.calls == other.calls


@given(st.text('<think/>|[]{}":`a b=.(_', max_size=40), st.integers(1, 7))
@settings(max_examples=300)
def test_whatever_comes_it_ends_and_invents_nothing(text: str, size: int):
    reply = ReplyText(TOOLS)
    left = heard(reply, *chunked(text, size))
    assert set(left) <= set(text)
