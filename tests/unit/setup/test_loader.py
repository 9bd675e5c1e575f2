"""gateway.toml: every mistake is named with its file, line, key and fix."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config.defaults import default_config
from gateway.config.models import AgentConfig
from gateway.errors import ConfigError
from gateway.setup.loader import find_config, load_config

AGENT = '[agents.a]\nllm = { provider = "openai", model = "m" }\n'


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The lines of the error, without the folder."""
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {})
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None):
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ or {})


NO_ENGINE = 'there is no engine or router "moonshine"'
A_VALUE = 'a value is expected here: text needs quotes ("..."), true and false are lower case'
BAD = {
    "syntax": ("[sip]\nbind = \n", ["gateway.toml:2: " + A_VALUE]),
    "unfinished": ("[sip]\nbind = 1\nx = [", ["gateway.toml:3: " + A_VALUE]),
    "unfinished table": (
        "a = 1\n[b",
        ["gateway.toml:2: Expected ']' at the end of a table declaration"],
    ),
    "absurd number": (
        "a = " + "9" * 5000,
        ["gateway.toml: a number has too many digits"],
    ),
    "not a table": (
        'sip = 5\nagents = "x"\ntrunks = [7]\nhttp = { api_keys = "k" }\n',
        [
            "gateway.toml:1: sip: must be a table",
            "gateway.toml:2: agents: must be a table",
            "gateway.toml:3: trunks.0: must be a table",
            'gateway.toml:4: http.api_keys: must be an array: write ["..."]',
        ],
    ),
    "session": (
        AGENT + "[sip]\nsession_min_s = 2000\n",
        ["gateway.toml:4: sip.session_min_s: must not be greater than session_expires_s"],
    ),
    "privileged ports": (
        AGENT + "[sip]\nrtp_ports = [800, 900]\n",
        ["gateway.toml:4: sip.rtp_ports: ports below 1024 are reserved for the system"],
    ),
    "named host for the API": (
        AGENT + '[http]\nbind = "gateway.example.net"\n',
        [
            "gateway.toml:4: http.bind: other machines could place calls: set http.api_keys"
            ' (such as ["${GATEWAY_API_KEY}"]) or bind = "127.0.0.1"'
        ],
    ),
    "too long to show": (
        AGENT + f"[log]\nlevel = '{'x' * 80}'\n",
        ['gateway.toml:4: log.level: must be "debug", "info", "warning" or "error"'],
    ),
    "twice": (
        "[sip]\nport = 1\nport = 2\n",
        ["gateway.toml:3: this key has a value already, on a line above"],
    ),
    "likely key": (
        AGENT + "[sip]\nbnd = 1\n",
        ['gateway.toml:4: sip.bnd: unknown key (did you mean "bind"?)'],
    ),
    "key by alias": (
        AGENT + '[[trunks]]\nname = "t"\nserver = "h"\nregistr = true\n',
        ['gateway.toml:6: trunks.0.registr: unknown key (did you mean "register"?)'],
    ),
    "unlike any key": (
        AGENT + "[log]\nq = 1\n",
        ["gateway.toml:4: log.q: unknown key; known: level, format"],
    ),
    "unknown table": (
        AGENT + "[trunk]\nname = 1\n",
        ['gateway.toml:3: trunk: unknown key (did you mean "trunks"?)'],
    ),
    "missing key": (
        AGENT + '[[trunks]]\nname = "one"\nserver = "h"\n\n[[trunks]]\nname = "two"\n',
        ["gateway.toml:7: trunks.1.server: required key is missing"],
    ),
    "wrong type": (
        AGENT + '[sip]\nport = "many"\n',
        ['gateway.toml:4: sip.port: must be a whole number, not "many"'],
    ),
    "out of range": (
        AGENT + "[sip]\nport = 0\n",
        ["gateway.toml:4: sip.port: must be at least 1, not 0"],
    ),
    "element of an array": (
        AGENT + '[sip]\ncodecs = [\n "PCMU",\n "OPUS",\n]\n',
        ['gateway.toml:6: sip.codecs.1: must be "PCMU", "PCMA" or "G722", not "OPUS"'],
    ),
    "more workers": (
        AGENT + "[workers]\ncount = 3\n",
        [
            "gateway.toml:4: workers.count: more than one worker need an edge in front of them:"
            ' set workers.edge = "kamailio"'
        ],
    ),
    "secret of the wrong type": (
        AGENT + "[sip.users]\nbob = 12345678\n",
        ['gateway.toml:4: sip.users.bob: must be text in quotes ("...")'],
    ),
    "environment": (
        AGENT + '[http]\napi_keys = [\n "${ONE}",\n "${TWO}"\n]\n',
        [
            "gateway.toml:5: http.api_keys.0: environment variable ONE is not set: export it before"
            " the gateway starts, or write ${ONE:-} where it may be empty",
            "gateway.toml:6: http.api_keys.1: environment variable TWO is not set: export it before"
            " the gateway starts, or write ${TWO:-} where it may be empty",
        ],
    ),
    "broken reference": (
        AGENT.replace('"m"', '"${m"'),
        [
            'gateway.toml:2: agents.a.llm.model: write ${NAME} or ${NAME:-default}; "$${" stands'
            ' for a plain "${"'
        ],
    ),
    "open to the world": (
        AGENT + '[sip]\nbind = "0.0.0.0"\n',
        [
            "gateway.toml:4: sip.bind: anyone who reaches this address could call in: set"
            ' sip.allow_sources (such as ["192.168.0.0/16"]), [sip.users] or a [[trunks]]'
        ],
    ),
    "open API": (
        AGENT + '[http]\nbind = "0.0.0.0"\n',
        [
            "gateway.toml:4: http.bind: other machines could place calls: set http.api_keys"
            ' (such as ["${GATEWAY_API_KEY}"]) or bind = "127.0.0.1"'
        ],
    ),
    "addresses": (
        AGENT
        + '[sip]\nbind = "localhost"\npublic_address = "1.2.3.999"\n'
        + 'allow_sources = ["10.0.0.0/8", "10.1.2.3/8", "lan"]\n',
        [
            'gateway.toml:4: sip.bind: must be an IPv4 address such as "127.0.0.1",'
            ' not "localhost"',
            "gateway.toml:5: sip.public_address: must be an IPv4 address or a host name,"
            " without a port",
            "gateway.toml:6: sip.allow_sources.1: has bits beyond its length;"
            ' did you mean "10.0.0.0/8"?',
            'gateway.toml:6: sip.allow_sources.2: must be a network such as "192.168.0.0/16",'
            ' not "lan"',
        ],
    ),
    "ports": (
        AGENT + "[sip]\nport = 8080\nrtp_ports = [8000, 8009]\n",
        [
            "gateway.toml:4: sip.port: is the same as http.port, and SIP takes TCP too",
            "gateway.toml:5: sip.rtp_ports: 4 calls need at least 16 ports, this has 10",
        ],
    ),
    "odd ports": (
        AGENT + "[sip]\nrtp_ports = [20001, 20999]\n",
        ["gateway.toml:4: sip.rtp_ports: the first port must be even (RFC 3550 section 11)"],
    ),
    "ports backwards": (
        AGENT + "[sip]\nrtp_ports = [30000, 20000]\n",
        ["gateway.toml:4: sip.rtp_ports: the first port must be less than the last"],
    ),
    "SIP port among RTP": (
        AGENT + "[sip]\nport = 20010\n",
        ["gateway.toml:4: sip.port: lies inside rtp_ports"],
    ),
    "lists": (
        AGENT + '[sip]\ntransports = []\ncodecs = ["PCMU", "PCMU"]\n',
        [
            "gateway.toml:4: sip.transports: must name at least one",
            "gateway.toml:5: sip.codecs: names one twice",
        ],
    ),
    "empty secrets": (
        AGENT + '[sip.users]\nbob = "${P:-}"\n[http]\napi_keys = [""]\n',
        [
            "gateway.toml:4: sip.users.bob: the password is empty",
            "gateway.toml:6: http.api_keys.0: the key is empty",
        ],
    ),
    "trunks": (
        AGENT
        + '[[trunks]]\nname = "t"\nserver = "sip:h"\ncontext = "in"\n'
        + '[[trunks]]\nname = "t"\nserver = "h:99999"\npassword = "p"\nretry_min_s = 200\n',
        [
            'gateway.toml:5: trunks.0.server: must be host or host:port, not "sip:h"',
            'gateway.toml:6: trunks.0.context: there is no context "in": [dialplan] directory is'
            " not set",
            'gateway.toml:8: trunks.1.name: a trunk named "t" exists already',
            'gateway.toml:9: trunks.1.server: must be host or host:port, not "h:99999"',
            "gateway.toml:10: trunks.1.password: there is a password but no user",
            "gateway.toml:11: trunks.1.retry_min_s: must not be greater than retry_max_s",
        ],
    ),
    "trunk name": (
        AGENT + '[[trunks]]\nname = "a b"\nserver = "h"\n',
        ['gateway.toml:4: trunks.0.name: must hold letters, digits, "_" and "-" only, not "a b"'],
    ),
    "agents": (
        'default_agent = "receptoin"\n'
        + AGENT.replace(".a]", ".reception]")
        + 'tools = ["nothing", "missing.py:f"]\ntransfer_targets = { desk = "one" }\n'
        + 'agent_targets = ["reception", "receptoin"]\n'
        + "turn = { stop_probability = 0.9 }\n",
        [
            'gateway.toml:1: default_agent: no agent "receptoin" (did you mean "reception"?)',
            'gateway.toml:4: agents.reception.tools.0: must be "package.module:function" or'
            ' "path/to/file.py:function", not "nothing"',
            "gateway.toml:4: agents.reception.tools.1: file not found: FOLDER/missing.py",
            "gateway.toml:5: agents.reception.transfer_targets.desk: must be a SIP URI (sip:...) or"
            ' a number, not "one"',
            "gateway.toml:6: agents.reception.agent_targets.0: is this agent itself",
            'gateway.toml:6: agents.reception.agent_targets.1: no agent "receptoin" (did you mean'
            ' "reception"?)',
            "gateway.toml:7: agents.reception.turn.stop_probability: must not be greater than"
            " start_probability",
        ],
    ),
    "words for silences": (
        AGENT
        + 'fallback = ""\ngive_up = " "\ntransfer_failed = ""\n'
        + '[agents.a.silence]\nreprompts = ["Hello?", ""]\n'
        + "[agents.a.filler]\n"
        + 'first = ["Wait.", " "]\nlater = ["Still.", "Still."]\nafter_ms = 5000\n'
        + "give_up_s = 5\n",
        [
            "gateway.toml:3: agents.a.fallback: is empty: the caller would hear nothing",
            "gateway.toml:4: agents.a.give_up: is empty: the caller would hear nothing",
            "gateway.toml:5: agents.a.transfer_failed: is empty: the caller would hear nothing",
            "gateway.toml:7: agents.a.silence.reprompts.1: is empty: leave it out (without"
            " reprompts only the goodbye is said)",
            "gateway.toml:9: agents.a.filler.first.1: is empty: leave it out",
            "gateway.toml:10: agents.a.filler.later.1: is there twice",
            "gateway.toml:12: agents.a.filler.give_up_s: must be longer than after_ms, else no"
            " filler is ever said",
        ],
    ),
    "no first filler": (
        AGENT + "filler = { first = [] }\n",
        [
            "gateway.toml:3: agents.a.filler.first: must have at least one text; without fillers"
            " write after_ms = 0"
        ],
    ),
    "eagerness": (
        AGENT + 'turn = { eagerness = "hgh" }\n',
        [
            'gateway.toml:3: agents.a.turn.eagerness: must be "low", "medium", "high" or "auto",'
            ' not "hgh"'
        ],
    ),
    "key of a filler": (
        AGENT + "[agents.a.filler]\neverry_ms = 1\n",
        ['gateway.toml:4: agents.a.filler.everry_ms: unknown key (did you mean "every_ms"?)'],
    ),
    "no agents": (
        "agents = {}\n",
        ["gateway.toml:1: agents: at least one agent is needed: [agents.NAME]"],
    ),
    "settings of a provider": (
        '[agents.a]\ntts = { provider = "espeak", pich = 3 }\n'
        '[agents.a.llm]\nprovider = "openai"\napi_key = 5\nbase_url = "nowhere"\n',
        [
            'gateway.toml:2: agents.a.tts.pich: unknown key (did you mean "pitch"?)',
            "gateway.toml:3: agents.a.llm.model: required key is missing",
            'gateway.toml:5: agents.a.llm.api_key: must be text in quotes ("...")',
            "gateway.toml:6: agents.a.llm.base_url: must be an address that begins with https:// or"
            ' http://, not "nowhere"',
        ],
    ),
    "one trunk as a table": (
        AGENT + '[trunks]\nname = "t"\nserver = "h"\n',
        ["gateway.toml:3: trunks: must be an array of tables: write [[trunks]]"],
    ),
    "engine without a table": (
        '[agents.a]\nstt = "moonshine"\n',
        [f'gateway.toml:2: agents.a.stt: {NO_ENGINE}: write {{ provider = "moonshine" }}'],
    ),
    "table of another table": (
        AGENT + "[agents.a.barge_in]\ndigits = false\n",
        ["gateway.toml:3: agents.a.barge_in: unknown key: it belongs in [agents.a.turn]"],
    ),
    "key of another table": (
        'bind = "0.0.0.0"\n' + AGENT,
        ["gateway.toml:1: bind: unknown key: it belongs in [sip] or [http]"],
    ),
    "one of two ports": (
        AGENT + "[sip]\nrtp_ports = [20000]\n",
        ["gateway.toml:4: sip.rtp_ports.1: value number 2 is missing"],
    ),
    "table twice": (
        "[sip]\n[sip]\n",
        ["gateway.toml:2: this table is written already, on a line above"],
    ),
    "an example's dots": (
        "[agents.a]\nllm = { provider = 'openai', ... }\n",
        ["gateway.toml:2: a key is expected here"],
    ),
    "dialplan folder": (
        AGENT + '[dialplan]\ndirectory = "plans"\n',
        ["gateway.toml:4: dialplan.directory: no such folder: FOLDER/plans"],
    ),
    "all at once": (
        AGENT + '[sip]\nprt = 1\n[http]\nport = 0\n[log]\nlevel = "loud"\n[records]\naudio = 3\n',
        [
            'gateway.toml:4: sip.prt: unknown key (did you mean "port"?)',
            "gateway.toml:6: http.port: must be at least 1, not 0",
            'gateway.toml:8: log.level: must be "debug", "info", "warning" or "error", not "loud"',
            "gateway.toml:10: records.audio: must be true or false, not 3",
        ],
    ),
    "checks go on beside faulty keys": (
        'default_agent = "b"\n' + AGENT + "[log]\nq = 1\n",
        [
            'gateway.toml:1: default_agent: no agent "b"; known: a',
            "gateway.toml:5: log.q: unknown key; known: level, format",
        ],
    ),
}


@pytest.mark.parametrize(
    "text",
    [
        "filler = { after_ms = 0, first = [], later = [] }",
        "filler = { later = [] }",
        "filler = { give_up_s = 1, after_ms = 0 }",
        "silence = { reprompts = [], goodbye = '' }",
    ],
)
def test_silences_may_stay_silent_where_that_is_asked_for(tmp_path, text):
    assert loaded(tmp_path, f"{AGENT}{text}\n")


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_a_bad_file(tmp_path, text, expected):
    assert problems(tmp_path, text) == [line.replace("FOLDER", str(tmp_path)) for line in expected]


def test_an_unknown_provider_names_the_likely_one_and_all(tmp_path):
    [line] = problems(tmp_path, AGENT + 'tts = { provider = "espek" }\n')
    start = (
        'gateway.toml:3: agents.a.tts.provider: no such provider (did you mean "espeak"?); known: '
    )
    assert line.startswith(start)
    assert {"espeak", "flite"} <= set(line.removeprefix(start).split(", "))


def test_an_engine_table_without_a_provider(tmp_path):
    [line] = problems(tmp_path, AGENT + "tts = { pitch = 1 }\n")
    assert line.startswith("gateway.toml:3: agents.a.tts.provider: names the provider; known: ")


UNREADABLE = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "is a folder, not a file"),
    "binary": (lambda path: path.write_bytes(b"a = 1\nb = '\xff'\n"), "2: is not UTF-8 text"),
    "nested": (lambda path: path.write_text("a = " + "[" * 9000), "nested too deeply"),
}


@pytest.mark.parametrize(("make", "text"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_file(tmp_path, make, text):
    path = tmp_path / "gateway.toml"
    make(path)
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    separator = ":" if text[0].isdigit() else ": "
    assert str(caught.value) == f"{path}{separator}{text}"


def test_a_name_with_a_zero_byte_is_an_error_not_a_crash():
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(Path("a\0b"), {})


SECRET = "hunter2-topsecret"


@pytest.mark.parametrize(
    "text",
    [
        AGENT + f'[sip.users]\nbob = ["{SECRET}"]\n',
        AGENT + f'[http]\napi_keys = "{SECRET}"\n',
        AGENT + f'[http]\nkeys = ["{SECRET}"]\n',
        AGENT + f'[[trunks]]\nname = "t"\nserver = "h"\npassword = ["{SECRET}"]\n',
        AGENT.replace('"m"', f'"m", api_key = ["{SECRET}"]'),
    ],
)
def test_a_secret_is_never_in_an_error(tmp_path, text):
    assert SECRET not in "\n".join(problems(tmp_path, text))


def test_a_secret_is_never_in_the_printed_configuration(tmp_path):
    text = AGENT.replace('"m"', '"m", api_key = "${KEY}"') + '[http]\napi_keys = ["${KEY}"]\n'
    config = loaded(tmp_path, text, {"KEY": SECRET})
    assert SECRET not in repr(config)
    assert config.http.api_keys == (SecretStr(SECRET),)
    assert config.agents["a"].llm.settings.api_key.get_secret_value() == SECRET


REFERENCES = [
    ("${A}", {"A": "x"}, "x"),
    ("a-${A}${B}-b", {"A": "x", "B": "y"}, "a-xy-b"),
    ("${A:-d}", {}, "d"),
    ("${A:-d}", {"A": ""}, "d"),
    ("${A:-}", {}, ""),
    ("${A}", {"A": ""}, ""),
    ("$${A}", {"A": "x"}, "${A}"),
    ("${A}", {"A": "${B}", "B": "x"}, "${B}"),
    ("$A $ {A}", {"A": "x"}, "$A $ {A}"),
]


@pytest.mark.parametrize(("written", "environ", "value"), REFERENCES)
def test_references_to_the_environment(tmp_path, written, environ, value):
    config = loaded(tmp_path, f'{AGENT}[sip]\nrealm = "{written}"\n', environ)
    assert config.sip.realm == value


def test_a_number_from_the_environment(tmp_path):
    assert loaded(tmp_path, AGENT + '[sip]\nport = "${P}"\n', {"P": "5090"}).sip.port == 5090


def test_paths_start_at_the_folder_of_the_file(tmp_path):
    (tmp_path / "plans").mkdir()
    (tmp_path / "mine.py").touch()
    config = loaded(
        tmp_path,
        AGENT + 'tools = ["mine.py:f", "package.module:g"]\n[dialplan]\ndirectory = "plans"\n',
    )
    assert config.records.directory == tmp_path / "calls"
    assert config.dialplan.directory == tmp_path / "plans"
    assert config.agents["a"].tools == (f"{tmp_path}/mine.py:f", "package.module:g")


def test_absolute_paths_stay(tmp_path):
    config = loaded(tmp_path, AGENT + '[records]\ndirectory = "/srv/calls"\n')
    assert config.records.directory == Path("/srv/calls")


def test_a_file_without_agents_gets_the_front_desk(tmp_path):
    config = loaded(tmp_path, "[sip]\nport = 5070\n")
    assert list(config.agents) == ["front-desk"]
    assert config.agents["front-desk"].tools == default_config().agents["front-desk"].tools


def test_calls_out_are_allowed_without_naming_an_agent(tmp_path):
    config = loaded(tmp_path, '[outgoing]\nallow = ["sip:*@pbx.example"]\n')
    assert config.outgoing.allow == ("sip:*@pbx.example",)
    (agent,) = config.agents.values()
    assert agent.transfer_targets == default_config().agents["front-desk"].transfer_targets
    named = '[agents.a]\nbuiltin_tools = ["transfer_call"]\n'
    named += 'transfer_targets = { desk = "sip:x@y.example" }\n'
    (told,) = problems(tmp_path, named)
    assert "outgoing calls there are not allowed" in told


def test_windows_editors_are_welcome(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_bytes(
        b"\xef\xbb\xbf" + AGENT.replace("\n", "\r\n").encode() + b"[sip]\r\nbnd = 1\r\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path, {})
    assert caught.value.problems[0].line == 4


def test_a_guarded_public_address_is_fine(tmp_path):
    config = loaded(tmp_path, AGENT + '[sip]\nbind = "0.0.0.0"\nallow_sources = ["10.0.0.0/8"]\n')
    assert config.sip.bind == "0.0.0.0"


def test_without_a_file_there_is_one_offline_agent():
    config = load_config(None)
    assert config == default_config()
    assert config.sip.bind == "127.0.0.1"
    assert config.sip.port == 5060
    assert list(config.agents) == ["front-desk"]
    assert config.agents["front-desk"].tools


def test_the_file_here_is_used_when_none_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(None) is None
    Path("gateway.toml").touch()
    assert find_config(None) == Path("gateway.toml")
    assert find_config(Path("other.toml")) == Path("other.toml")


def test_a_language_that_an_engine_does_not_know_is_refused_by_name(tmp_path):
    english = 'tts = { provider = "flite" }\n'
    lines = problems(tmp_path, AGENT + 'language = "de"\n' + english)
    assert [line.partition(": ")[0] for line in lines] == ["gateway.toml:3"] * len(lines)
    text = "\n".join(lines)
    assert 'stt = "moonshine"' in text
    assert 'tts = "flite"' in text
    assert "en" in text


def test_engines_are_told_the_agents_language(tmp_path):
    """Where they leave it open: a voice that was named keeps its own."""
    vendors = (
        'stt = { provider = "deepgram", api_key = "k" }\n'
        'tts = { provider = "cartesia", api_key = "k", voice = "v" }\n'
    )
    agent = loaded(tmp_path, AGENT + 'language = "de-AT"\n' + vendors).agents["a"]
    assert agent.stt.rest()["model"] == "flux-general-multi"
    assert agent.stt.rest()["language"] == "de"
    assert agent.tts.rest()["language"] == "de"
    stated = vendors.replace('"v"', '"v", language = "en"')
    agent = loaded(tmp_path, AGENT + 'language = "de"\n' + stated).agents["a"]
    assert agent.tts.rest()["language"] == "en"
    agent = loaded(tmp_path, AGENT + vendors).agents["a"]  # no language was stated
    assert "language" not in agent.stt.rest()
    assert "language" not in agent.tts.rest()


def test_an_agent_in_another_language_speaks_with_espeak(tmp_path):
    vosk = 'stt = { provider = "vosk", model = "x" }\n'
    agent = loaded(tmp_path, AGENT + 'language = "de"\n' + vosk).agents["a"]
    assert (agent.tts.provider, agent.tts.rest()) == ("espeak", {"voice": "de"})


def test_a_language_that_all_engines_know_is_taken(tmp_path):
    engines = (
        'stt = { provider = "vosk", model = "x" }\ntts = { provider = "espeak", voice = "de" }\n'
    )
    config = loaded(tmp_path, AGENT + 'language = "de-AT"\n' + engines)
    assert config.agents["a"].language == "de-AT"
    lines = problems(tmp_path, AGENT + 'language = "fr"\n' + engines)
    assert 'tts = "espeak"' in lines[0]
    assert "de" in lines[0]


@pytest.mark.parametrize("language", ["", "german", "de_DE", "1"])
def test_what_is_no_language_tag_is_refused(tmp_path, language):
    assert "agents.a.language" in problems(tmp_path, AGENT + f'language = "{language}"\n')[0]


@pytest.mark.parametrize("key", ["greeting", "instructions"])
def test_an_unknown_placeholder_is_refused(tmp_path, key):
    (line,) = problems(tmp_path, AGENT + f'{key} = "Hello {{callr}}."\n')
    assert line.startswith(f"gateway.toml:3: agents.a.{key}: unknown placeholder {{callr}}")
    assert "caller" in line


def test_known_placeholders_json_and_doubled_braces_are_taken(tmp_path):
    text = 'Hi {caller} {now} {header.x-a} {var.name} {{callr}} {\\"day\\": 1}'
    assert loaded(tmp_path, AGENT + f'greeting = "{text}"\n')


def test_a_placeholder_where_none_is_filled_is_refused(tmp_path):
    (line,) = problems(tmp_path, AGENT + 'fallback = "Sorry, {caller}."\n')
    assert "gateway.toml:3: agents.a.fallback" in line


def test_a_time_zone_must_exist(tmp_path):
    (line,) = problems(tmp_path, AGENT + 'timezone = "Europe/Berln"\n')
    assert "Europe/Berlin" in line


def test_texts_that_are_left_out_are_in_the_agents_language(tmp_path):
    vosk = 'stt = { provider = "vosk", model = "x" }\n'
    stated = 'give_up = "Tschüss."\n[agents.a.filler]\nlater = ["Bin dran."]\n'
    agent = loaded(tmp_path, AGENT + 'language = "de-AT"\n' + vosk + stated).agents["a"]
    assert agent.fallback.startswith("Entschuldigung")
    assert agent.give_up == "Tschüss."
    assert agent.filler.first[0] == "Einen Moment, bitte."
    assert agent.filler.later == ("Bin dran.",)
    assert agent.silence.reprompts[0] == "Sind Sie noch da?"
    assert agent.turn.language == "de-AT"
    agent = loaded(tmp_path, AGENT + 'language = "pl"\n' + vosk).agents["a"]
    assert agent.fallback == AgentConfig().fallback  # `gateway check` warns of it


GERMAN = (
    'language = "de"\nstt = { provider = "deepgram", api_key = "k" }\n'
    'instructions = "Du bist der Empfang."\ngive_up = "Tschüss."\n'
)


def test_an_agent_is_told_once_for_each_of_its_languages(tmp_path):
    more = '[agents.a.languages.en]\ntts = { provider = "flite" }\nfallback = "Pardon?"\n'
    agent = loaded(tmp_path, AGENT + GERMAN + more + "[agents.a.languages.fr]\n").agents["a"]
    assert set(agent.in_languages) == {"de", "en", "fr"}
    assert agent.tts.rest() == {"voice": "de"}
    english, french = agent.in_languages["en"], agent.in_languages["fr"]
    assert (english.tts.provider, french.tts.provider) == ("flite", "espeak")
    assert french.tts.rest() == {"voice": "fr"}
    hears = [each.stt.rest().get("language") for each in (agent, english, french)]
    assert hears == ["de", None, "fr"]
    assert "model" not in english.stt.rest()  # the vendor's own for English
    assert (agent.give_up, english.fallback) == ("Tschüss.", "Pardon?")
    assert english.give_up == AgentConfig().give_up
    assert french.give_up.startswith("Je suis désolé")
    assert french.turn.language == "fr"
    assert french.instructions == "Du bist der Empfang.\n\nSpeak French with the caller."
    assert agent.instructions == "Du bist der Empfang."
    assert loaded(tmp_path, AGENT + GERMAN).agents["a"].in_languages == {}


def test_what_an_engine_cannot_do_in_another_language_is_told_by_name(tmp_path):
    named = 'tts = { provider = "espeak", voice = "de" }\n'
    (line,) = problems(tmp_path, AGENT + GERMAN + named + "[agents.a.languages.en]\n")
    assert '"en" is not supported by tts = "espeak" with these settings' in line
    assert "agents.a.languages.en" in line
    own = '[agents.a.languages.en]\nstt = { provider = "moonshine", modell = 1 }\n'
    (line,) = problems(tmp_path, AGENT + GERMAN + own)
    assert "agents.a.languages.en.stt.modell" in line
    (line,) = problems(tmp_path, AGENT + GERMAN + "detect_language = true\n")
    assert "agents.a.detect_language" in line


def test_a_recognizer_that_detects_the_language_is_told_none(tmp_path):
    more = 'detect_language = true\n[agents.a.languages.en]\ntts = { provider = "flite" }\n'
    agent = loaded(tmp_path, AGENT + GERMAN + more).agents["a"]
    for each in (agent, *agent.in_languages.values()):
        assert each.stt.rest()["model"] == "flux-general-multi"
        assert "language" not in each.stt.rest()
    fixed = GERMAN.replace('api_key = "k"', 'api_key = "k", model = "nova-3", language = "de"')
    lines = problems(tmp_path, AGENT + fixed + more)
    assert any("agents.a.detect_language" in line for line in lines), lines
