"""dialplans/*.toml: every mistake is named with its file, line, key and fix."""

import re

import pytest

from gateway.config.dialplans import (
    Answer,
    Branch,
    Collect,
    HangUp,
    Jump,
    Say,
    Talk,
    Transfer,
    fill,
    placeholders,
)
from gateway.config.models import (
    AgentConfig,
    DialplanConfig,
    GatewayConfig,
    OutgoingConfig,
    TrunkConfig,
)
from gateway.errors import ConfigError
from gateway.setup.loader import load_dialplan
from tests.support.wav import write_wav


def config_for(folder, allow=("sip:*@*",), **trunks):
    return GatewayConfig(
        outgoing=OutgoingConfig(allow=allow),
        agents={"reception": AgentConfig(), "sales": AgentConfig()},
        trunks=tuple(
            TrunkConfig(name=name, server="h", context=context) for name, context in trunks.items()
        ),
        dialplan=DialplanConfig(directory=folder),
    )


def plan_of(folder, *texts, **trunks):
    for name, text in zip(("a.toml", "b.toml", "c.toml"), texts, strict=False):
        (folder / name).write_text(text, encoding="utf-8")
    return load_dialplan(config_for(folder, **trunks), {})


def problems(folder, *texts, **trunks):
    with pytest.raises(ConfigError) as caught:
        plan_of(folder, *texts, **trunks)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


RULE = '[[contexts.default.extensions]]\nname = "x"\n'


def steps(*steps):
    return RULE + "".join(f"[[contexts.default.extensions.steps]]\n{step}\n" for step in steps)


AT = "contexts.default.extensions.0"

BAD = {
    "syntax": ("[contexts\n", ["a.toml:1: Expected ']' at the end of a table declaration"]),
    "likely key": (
        RULE + 'caled = "1"\nsteps = [{ answer = {} }]\n',
        [f'a.toml:3: {AT}.caled: unknown key (did you mean "called"?)'],
    ),
    "no steps": (RULE, [f"a.toml:1: {AT}.steps: required key is missing"]),
    "empty steps": (
        RULE + "steps = []\n",
        [f"a.toml:3: {AT}.steps: must not be empty"],
    ),
    "likely step": (
        steps('tak = "sales"'),
        [f'a.toml:4: {AT}.steps.0.tak: unknown key (did you mean "talk"?)'],
    ),
    "two keys in a step": (
        steps('say = "a"\nhang_up = {}'),
        [f"a.toml:3: {AT}.steps.0: a step has exactly one key, here: hang_up, say"],
    ),
    "no key in a step": (
        RULE + "steps = [\n {},\n]\n",
        [f"a.toml:4: {AT}.steps.0: a step has exactly one key, here: none"],
    ),
    "likely key within a step": (
        steps("collect = { digts = 4 }"),
        [f'a.toml:4: {AT}.steps.0.collect.digts: unknown key (did you mean "digits"?)'],
    ),
    "values of a step": (
        steps('collect = { digits = 0, terminator = "##" }', "hang_up = { status = 200 }"),
        [
            f"a.toml:4: {AT}.steps.0.collect.digits: must be at least 1, not 0",
            f'a.toml:4: {AT}.steps.0.collect.terminator: must be one key: a digit, "*", "#", or ""'
            ' for none, not "##"',
            f"a.toml:6: {AT}.steps.1.hang_up.status: must be at least 400, not 200",
        ],
    ),
    "number without quotes": (
        RULE + "called = 5500\nsteps = [{ hang_up = {} }]\n",
        [f'a.toml:3: {AT}.called: must be an array: write ["5500"]'],
    ),
    "text or file": (
        steps('say = { text = "a", file = "b.wav" }', "say = { agent = 'sales' }"),
        [
            f"a.toml:4: {AT}.steps.0.say: needs either text or file",
            f"a.toml:6: {AT}.steps.1.say: needs either text or file",
        ],
    ),
    "collect": (
        steps(
            'collect = { prompt = "a", prompt_file = "b.wav" }',
            "collect = { digits = 2, min_digits = 3 }",
        ),
        [
            f"a.toml:4: {AT}.steps.0.collect: needs prompt or prompt_file, not both",
            f"a.toml:6: {AT}.steps.1.collect: min_digits must not be greater than digits",
        ],
    ),
    "empty branch": (
        steps("branch = { cases = {} }"),
        [f"a.toml:4: {AT}.steps.0.branch.cases: must not be empty"],
    ),
    "two conditions on a number": (
        RULE + 'called = "1"\ncalled_regex = "1"\nsteps = [{ answer = {} }]\n',
        [f"a.toml:1: {AT}: called and called_regex cannot go together"],
    ),
    "broken regex": (
        RULE + 'called_regex = "(1"\nheaders_regex = { "X-A" = "[" }\nsteps = [{ answer = {} }]\n',
        [
            f"a.toml:3: {AT}.called_regex: is not a regular expression: missing ), unterminated"
            " subpattern at position 0",
            f"a.toml:4: {AT}.headers_regex.X-A: is not a regular expression: unterminated"
            " character set at position 0",
        ],
    ),
    "name": (
        '[[contexts.default.extensions]]\nname = "a b"\nsteps = [{ answer = {} }]\n',
        [f'a.toml:2: {AT}.name: must hold letters, digits, "_" and "-" only, not "a b"'],
    ),
    "agents": (
        steps('talk = "receptoin"', 'say = { text = "a", agent = "nobody" }'),
        [
            f'a.toml:4: {AT}.steps.0.talk.agent: no agent "receptoin" (did you mean "reception"?)',
            f'a.toml:6: {AT}.steps.1.say.agent: no agent "nobody"; known: reception, sales',
        ],
    ),
    "trunk": (
        RULE + 'trunk = "telco"\nsteps = [{ answer = {} }]\n',
        [f'a.toml:3: {AT}.trunk: no trunk "telco"; known: none'],
    ),
    "jumps": (
        steps(
            'collect = { into = "menu" }',
            'branch = { on = "menue", cases = { "1" = "salez", "2" = "night/x" }, default = "x" }',
        )
        + '[[contexts.default.extensions]]\nname = "sales"\nsteps = [{ goto = "default/nix" }]\n',
        [
            f'a.toml:6: {AT}.steps.1.branch.cases.1: no extension "salez" in context "default"'
            ' (did you mean "sales"?)',
            f'a.toml:6: {AT}.steps.1.branch.cases.2: no context "night"; known: default',
            f'a.toml:6: {AT}.steps.1.branch.on: no collect has into = "menue"',
            "a.toml:9: contexts.default.extensions.1.steps.0.goto.extension: no extension"
            ' "nix" in context "default"; known: x, sales',
        ],
    ),
    "placeholders": (
        steps('say = "{caler} {collected.pin} {called}"', 'transfer = "{called}@host"'),
        [
            f"a.toml:4: {AT}.steps.0.say.text: unknown placeholder {{caler}}"
            ' (did you mean "caller"?)',
            f"a.toml:4: {AT}.steps.0.say.text: unknown placeholder {{collected.pin}};"
            " known: called, caller, trunk, now, date, time",
            f"a.toml:6: {AT}.steps.1.transfer.target: must be a SIP URI (sip:...) or a number,"
            ' not "{called}@host"',
        ],
    ),
    "recordings": (
        steps(
            'say = { file = "no.wav" }',
            'collect = { prompt_file = "a.toml" }',
            'say = { file = "a.toml/x" }',
        ),
        [
            f"a.toml:4: {AT}.steps.0.say.file: file not found: no.wav",
            f"a.toml:6: {AT}.steps.1.collect.prompt_file: a.toml: not a PCM WAV file: file does"
            " not start with RIFF id",
            f"a.toml:8: {AT}.steps.2.say.file: a.toml/x: Not a directory",
        ],
    ),
    "unreachable": (
        steps("hang_up = {}", "answer = {}"),
        [f"a.toml:5: {AT}.steps.1: is never reached: hang_up before it does not go on"],
    ),
    "no jump leads there": (
        RULE + "jump_only = true\nsteps = [{ answer = {} }]\n",
        [f"a.toml:3: {AT}.jump_only: no goto or branch leads here: it is never reached"],
    ),
    "same name twice": (
        RULE + "steps = [{ answer = {} }]\n" + RULE + "steps = [{ answer = {} }]\n",
        ['a.toml:5: contexts.default.extensions.1.name: "x" exists in this context already'],
    ),
    "includes": (
        '[contexts.a]\ninclude = ["b"]\n[contexts.b]\ninclude = [\n "c", "nigt"\n]\n'
        '[contexts.c]\ninclude = ["a"]\n[contexts.night]\n',
        [
            'a.toml:2: contexts.a.include.0: "b" includes "a" again: a loop',
            'a.toml:5: contexts.b.include.0: "c" includes "b" again: a loop',
            'a.toml:5: contexts.b.include.1: no context "nigt" (did you mean "night"?)',
            'a.toml:8: contexts.c.include.0: "a" includes "c" again: a loop',
        ],
    ),
    "environment": (
        steps('transfer = "sip:x@${HOST}"'),
        [
            f"a.toml:4: {AT}.steps.0.transfer: environment variable HOST is not set: export it"
            " before the gateway starts, or write ${HOST:-} where it may be empty"
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_a_bad_file(tmp_path, text, expected):
    assert problems(tmp_path, text) == expected


def test_problems_of_all_files_come_together(tmp_path):
    assert problems(tmp_path, "x = 1\n", "y 1\n", steps("answer = {}")) == [
        "a.toml:1: x: unknown key; known: contexts",
        "b.toml:1: Expected '=' after a key in a key/value pair",
    ]


def test_a_context_belongs_to_one_file(tmp_path):
    text = steps("answer = {}")
    assert problems(tmp_path, text, text) == [
        "b.toml:1: contexts.default: a.toml defines this context already"
    ]


def test_references_across_files(tmp_path):
    one = '[contexts.default]\ninclude = ["two"]\n'
    two = one.replace("default", "two").replace('"two"]', "]") + steps('goto = "two/y"').replace(
        "default", "two"
    ).replace('"x"', '"y"')
    plan = plan_of(tmp_path, one, two, carrier="two")
    assert list(plan.contexts) == ["default", "two"]
    assert plan.trunk_contexts == {"carrier": "two"}
    assert plan.origins == {("two", "y"): f"{tmp_path}/b.toml:3"}


def test_a_trunk_must_enter_a_known_context(tmp_path):
    assert problems(tmp_path, steps("answer = {}"), carrier="defualt") == [
        f'{tmp_path}: trunk "carrier" enters an unknown context "defualt" (did you mean "default"?)'
    ]


def test_an_empty_folder_is_an_error(tmp_path):
    assert problems(tmp_path) == [f"{tmp_path}: the folder holds no *.toml file"]


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_dialplan(config_for(tmp_path / "gone"), {})
    assert str(caught.value) == (
        f"{tmp_path}/gone: the dialplan folder cannot be read: No such file or directory"
    )


def test_without_a_folder_the_plan_is_empty():
    plan = load_dialplan(config_for(None), {})
    assert plan.default_agent == "reception"
    assert plan.contexts == {}


def test_every_step_in_its_short_and_long_form(tmp_path):
    write_wav(tmp_path / "hi.wav", bytes(320))
    plan = plan_of(
        tmp_path,
        steps(
            "answer = {}",
            'say = "Hello {caller}"',
            'say = { file = "hi.wav", agent = "sales" }',
            'talk = "sales"',
            'collect = { into = "pin", digits = 4, prompt_file = "hi.wav" }',
            'transfer = { target = "sip:{collected.pin}@h", announce = "Wait." }',
            'branch = { on = "pin", cases = { "1" = "x" } }',
            'branch = { on = "pin", cases = { "1" = { extension = "x" } }, default = "default/x" }',
        ),
    )
    assert [step.action for step in plan.contexts["default"].extensions[0].steps] == [
        Answer(),
        Say(text="Hello {caller}"),
        Say(file=tmp_path / "hi.wav", agent="sales"),
        Talk(agent="sales"),
        Collect(into="pin", digits=4, prompt_file=tmp_path / "hi.wav"),
        Transfer(target="sip:{collected.pin}@h", announce="Wait."),
        Branch(on="pin", cases={"1": Jump(extension="x")}),
        Branch(
            on="pin",
            cases={"1": Jump(extension="x")},
            default=Jump(context="default", extension="x"),
        ),
    ]


def test_hang_up_refuses_with_603_unless_told_otherwise(tmp_path):
    plan = plan_of(tmp_path, steps("hang_up = {}"))
    assert plan.contexts["default"].extensions[0].steps[0].action == HangUp(status=603, reason="")


def test_placeholders():
    assert placeholders("{a} {b.c} {not this} {}") == ["a", "b.c"]
    assert fill("{a} {b.c} {not this} {}", {"a": "{b.c}"}) == "{b.c} {b.c} {not this} {}"


@pytest.mark.parametrize(
    ("allow", "target", "fix"),
    [
        ((), "sip:x@h", 'add "sip:x@h" to [outgoing] allow'),
        (("sip:*@other",), "sip:x@h", 'add "sip:x@h" to [outgoing] allow'),
        (("sip:*@h",), "sip:x@h", ""),
        ((), "sip:{called}@h", 'may go, such as "sip:*@h"'),
        (("sip:*@h",), "sip:{called}@h", ""),
    ],
)
def test_a_transfer_must_be_allowed(tmp_path, allow, target, fix):
    (tmp_path / "a.toml").write_text(steps(f'transfer = "{target}"'), encoding="utf-8")
    if not fix:
        load_dialplan(config_for(tmp_path, allow), {})
        return
    with pytest.raises(ConfigError, match=re.escape(fix)):
        load_dialplan(config_for(tmp_path, allow), {})
