"""An agent that lets the caller finish and says next to nothing."""

AGENT = """
[agents.listener]
greeting = "Go ahead."
llm = { provider = "script", file = "{folder}/listener.toml" }
[agents.listener.turn]
whole_ms = 900
expected_ms = 900
unfinished_ms = 1300
dictation_ms = 1300
barge_in = { interruptible = false }
[agents.listener.silence]
reprompt_after_s = 600.0
"""
_REPLIES = ", ".join(['"Right."'] * 500)
FILES = {"listener.toml": f'[main]\ngreeting = "Go ahead."\nunknown = [{_REPLIES}]\n'}
