"""Bots of the harness: what they say, what they expect, and settings from the command line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]
"""Dotted keys below `[agents.NAME]`, such as `turn.whole_ms`; `media.` and the like stand alone."""
LLM_REPLY = "Sure, one large latte with oat milk. Would you like anything else?"
STORY = (
    "Welcome to the harbour museum. This tour has eleven rooms and takes about an hour. "
    "The first ship in the yard was built for carrying salt along the northern coast. "
    "Her masts were cut from a single forest, and her sails were sewn by forty people. "
    "In the second room you will find maps that were drawn before anybody had seen the south. "
    "Please notice the small island near the edge, which does not exist at all. "
    "The third room shows how sailors lived, what they ate, and how they slept in storms. "
    "A barrel of water had to last nine men for a fortnight, so nobody washed very often. "
    "Next comes the workshop where ropes are still made by hand every Thursday afternoon. "
    "The long machine in the corner was brought here by train in eighteen seventy one. "
    "Upstairs there is a collection of lamps, bells and whistles from lighthouses. "
    "One of them was kept by the same family for more than a hundred and thirty years. "
    "Children may climb into the wooden boat beside the window, but please take off your shoes. "
    "At the end you can visit our cafe, which serves soup, fresh bread and apple cake. "
    "Thank you for listening, and please come back to see us again next summer."
)
LONG_REPLIES = (
    "We have a great deal to offer today, so let me go through all of it from the beginning. "
    "There are eleven kinds of coffee, most of them from small farms in the mountains of Peru. "
    "The pastry comes from the bakery next door, and it is brought to us warm each morning. "
    "On weekends a pianist plays in the afternoon, and reading groups meet in the back room.",
    "Before I take that down I should tell you how delivery works, because it has changed a lot. "
    "Our driver leaves at ten in the morning and again at three in the afternoon every day. "
    "Parcels for the islands travel by ferry, which means that bad weather may hold them up. "
    "You will get a message with a number, and with this number you can follow the parcel.",
    "Let me explain the loyalty programme, since many people ask about it when they call us. "
    "Each drink gives you one stamp, and the tenth drink is on the house, whatever its size. "
    "Stamps never run out, and you may share them with your family or with your colleagues. "
    "Twice a year we invite everybody who has a full card to a tasting in our own roastery.",
)
_BASE: dict[str, Any] = {"silence": {"reprompt_after_s": 600.0}}


def script_agent(settings: Settings, script: str, greeting: str = "") -> tuple[str, dict[str, str]]:
    """An agent with the offline script: its configuration and the script beside it."""
    agent = {"greeting": greeting, "llm": {"provider": "script", "file": "{folder}/script.toml"}}
    return _config(agent, settings), {"script.toml": script}


def llm_agent(
    settings: Settings, base_url: str, engines: Settings | None = None
) -> tuple[str, dict[str, str]]:
    """An agent with a language model behind this URL, and perhaps other engines (`stt`, `tts`)."""
    llm = {"provider": "openai", "model": "double", "base_url": base_url}
    agent = {"greeting": "Hello, what can I get you?", "llm": llm, **(engines or {})}
    return _config(agent, settings), {}


def orders_script() -> str:
    """Takes whatever is said and asks for more."""
    return _main("Hello, what can I get you?", "All right, I have that. Anything else?", 400)


def talker_script() -> str:
    """Answers everything at length."""
    texts = ", ".join(json.dumps(LONG_REPLIES[n % len(LONG_REPLIES)]) for n in range(1, 200))
    return f"[main]\ngreeting = {json.dumps(LONG_REPLIES[0])}\nunknown = [{texts}]\n"


def story_script(sentences: int) -> str:
    """Return a script that tells a story of about 5 s per sentence, then says next to nothing."""
    return _main(" ".join(re.findall(r"[^.]+\.", STORY)[:sentences]), "Pardon?", 200)


def slot_script() -> str:
    """Asks what the key says: yes/no and menu questions for ever, or one number or name."""
    return _main("Press a key, please.", "Pardon?", 50) + _SLOTS


def _main(greeting: str, reply: str, times: int) -> str:
    replies = ", ".join([json.dumps(reply)] * times)
    return f"[main]\ngreeting = {json.dumps(greeting)}\nunknown = [{replies}]\n"


SLOT_KEYS = {"yes_no": "1", "menu": "2", "phone": "3", "name": "4"}
"""Key that starts the questions of a kind."""
_SLOTS = """
[intents.yes_no]
key = "1"
flow = "yes_no"
[intents.menu]
key = "2"
flow = "menu"
[intents.phone]
key = "3"
flow = "phone"
[intents.name]
key = "4"
flow = "name"

[slots.milk]
type = "yes_no"
ask = "Would you like milk with that?"
max_tries = 10
[slots.table]
type = "yes_no"
ask = "And shall I bring it to your table?"
max_tries = 10
[flows.yes_no]
steps = [{ ask = "milk" }, { ask = "table" }, { start = "yes_no" }]

[slots.first]
type = "choice"
ask = "Which size: small, medium or large?"
choices = { small = ["the small one"], medium = ["the medium one"], large = ["the large one"] }
max_tries = 10
[slots.second]
type = "choice"
ask = "And the other one: small, medium or large?"
choices = { small = ["the small one"], medium = ["the medium one"], large = ["the large one"] }
max_tries = 10
[flows.menu]
steps = [{ ask = "first" }, { ask = "second" }, { start = "menu" }]

[slots.number]
type = "phone_number"
ask = "What is your telephone number?"
min_digits = 10
max_digits = 10
max_tries = 10
[flows.phone]
steps = [{ ask = "number" }, { say = "Thank you, I have noted your number." }]

[slots.surname]
type = "spelling"
ask = "Please spell your last name."
max_tries = 10
[flows.name]
steps = [{ ask = "surname" }, { say = "Thank you, I have noted your name." }]
"""


def parse_setting(text: str) -> tuple[str, Any]:
    """`turn.whole_ms=400` as key and value; what is no TOML value is a text."""
    key, _, value = text.partition("=")
    try:
        return key.strip(), tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _config(agent: dict[str, Any], settings: Settings) -> str:
    tables: dict[str, Any] = {"agents": {"turns": _merged(agent, _BASE)}}
    for key, value in settings.items():
        top = key.split(".")[0] in {"media", "sip", "records", "log"}
        path = key.split(".") if top else ["agents", "turns", *key.split(".")]
        tables = _merged(tables, _nested(path, value))
    agents = tables.pop("agents")["turns"]
    text = "".join(f"[{name}]\n{_lines(table)}" for name, table in tables.items())
    return f"{text}[agents.turns]\n{_lines(agents)}"


def _nested(path: list[str], value: object) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(one)
    for key, value in other.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[key] = _merged(old, value) if both else value
    return result


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
