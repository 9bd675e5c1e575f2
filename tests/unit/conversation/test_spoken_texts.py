"""Every text is read aloud as a person would; what is kept of it is what the model wrote."""

import pytest

from gateway.audio.format import ANALYSIS
from gateway.conversation.heard import heard_prefix
from gateway.conversation.silence_budget import filler_texts
from gateway.conversation.voice import Voice
from gateway.providers.contracts import AssistantMessage
from gateway.spoken import speakable
from tests.support.fake_line import ScriptedVoice
from tests.support.scene import Scene, text

BILL = "**Total:** your bill is $3.50 for `tea` & cake 😀."
READ = ["Total:", "your bill is three dollars and fifty cents for tea and cake."]


def test_an_answer_is_read_aloud_and_kept_as_it_was_written():
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(14)

    scene = Scene([text(*BILL)], ["The bill, please."]).play(script)
    assert scene.synthesizer.texts[-2:] == READ
    assert scene.history[-1] == AssistantMessage(BILL)
    assert scene.notes.turns[-1].bot_text_heard == BILL
    assert scene.notes.turns[-1].bot_text_generated == BILL


def test_greeting_prompts_and_what_an_operator_says_are_read_aloud():
    async def script(scene):
        await scene.until(3)
        scene.operator_says("Call *555-1234*")
        await scene.until(20)

    silence = {"reprompt_after_s": 5.0, "reprompts": ["Still there @ 9 AM?"], "goodbye": "Bye 👋"}
    scene = Scene(greeting="Welcome to *Café* No. 5.", silence=silence).play(script)
    assert scene.synthesizer.texts == [
        "Welcome to Cafe number five.",
        "Call five five five, one two three four",
        "Still there at nine A M?",
        "Bye",
    ]


def test_fillers_are_rendered_and_found_by_what_is_read_aloud():
    async def script(scene):
        await scene.voice.render_ahead(filler_texts(scene.config.filler))
        assert {"five seconds", "Wait."} <= set(scene.synthesizer.texts)
        assert scene.voice.rendered("5 s 😀")

    filler = {"first": ["5 s 😀"], "later": ["*Wait.*"]}
    Scene(filler=filler).play(script)


@pytest.mark.parametrize("silent", ["😀", "---", "```\nx = 1\n```", "*smiles*", "[1] 👍"])
def test_an_answer_without_a_sound_is_apologized_for_at_once(silent: str):
    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(8)

    scene = Scene([text(silent), text(silent)], ["Hello?"], fallback="Sorry.").play(script)
    assert scene.synthesizer.texts[-1] == "Sorry."
    (begun,) = [at for at, said in zip(scene.times("bot_says"), scene.data("bot_says"), strict=True)
                if said["text"] == "Sorry."]  # fmt: skip
    assert begun < 5


def test_a_voice_that_gives_no_sound_is_apologized_for_at_once():
    class Mute(ScriptedVoice):
        async def speak(self, text):
            if text.startswith("Hm"):
                self.texts.append(text)
                return
            async for chunk in super().speak(text):
                yield chunk

    async def script(scene):
        await scene.says(3, 0.5)
        await scene.until(8)

    voice = Mute()
    Scene([text("Hm."), text("Hm.")], ["Hello?"], voice=voice, fallback="Sorry.").play(script)
    assert voice.texts[-1] == "Sorry."


def test_an_own_language_of_a_voice_goes_before_that_of_the_agent():
    class German(ScriptedVoice):
        language = "de"

    assert Voice(German(), "en").reading("20 %") == "zwanzig Prozent"
    assert Voice(ScriptedVoice(), "de").reading("20 %") == "zwanzig Prozent"
    assert Voice(ScriptedVoice()).reading("20 %") == "twenty percent"


@pytest.mark.parametrize("written", [BILL, "Visit https://example.com/a now, it is 12:30 PM."])
def test_a_cut_leaves_a_beginning_of_the_model_s_own_words(written: str):
    samples = 10 * ANALYSIS.sample_rate_hz
    heard = [
        heard_prefix([(written, samples)], played, speakable)
        for played in range(0, samples + 1, ANALYSIS.frame_samples)
    ]
    assert heard[0] == ""
    assert heard[-1] == written
    assert all(written.startswith(part) for part in heard)
    assert [len(part) for part in heard] == sorted(len(part) for part in heard)


def test_a_price_takes_as_long_as_its_words():
    written = "Pay us $1,999.99 now and then go home with it."
    samples = 10 * ANALYSIS.sample_rate_hz
    said = "Pay us one thousand nine hundred ninety nine dollars and ninety nine cents"
    share = len(said) / len(speakable(written))
    assert heard_prefix([(written, samples)], round(samples * (share - 0.2)), speakable) == "Pay us"
    heard = heard_prefix([(written, samples)], round(samples * (share + 0.02)), speakable)
    assert heard == "Pay us $1,999.99"
