"""What every folder of `gateway/languages` must have: the same keys, and examples that work.

A new language is a new folder and its examples here.
"""

from __future__ import annotations

import re
import shutil
import string
import tomllib
from pathlib import Path

import pytest

import gateway.languages
from gateway.config.models import AgentConfig
from gateway.conversation.asking import expected_by
from gateway.errors import ConfigError
from gateway.languages import CODES, language
from gateway.languages.loading import read
from gateway.spoken import speakable
from gateway.turn.answers import digit_count, look_at_answer, sounds_dictated
from gateway.turn.barge_in_words import asides_of, meaning, words_of
from gateway.turn.completeness import Wanted, look

FOLDER = Path(gateway.languages.__file__).parent
OPTIONAL = {
    "turns.toml": {
        "question_words", "question_ends", "pronouns", "repeats", "time_patterns",
        "year_patterns", "letters_alone", "dictated", "hums", "hum_beginnings", "phantoms",
        "heard_nods", "heard_commands", "announces_joined",
    },
    "questions.toml": {
        "leading", "joined_figures", "vague", "vague_figures", "vague_behind", "abbreviations",
    },
    "reading.toml": {"keep", "ordinals"},
    "prompts.toml": set(),
}  # fmt: skip

GOES_ON = {
    "en": "I would like a table for", "de": "Ich möchte einen Tisch für",
    "fr": "Je voudrais une table pour", "es": "Quiero una mesa para",
    "it": "Vorrei un tavolo per", "pt": "Queria uma mesa para", "nl": "Ik wil een tafel voor",
}  # fmt: skip
WHOLE = {
    "en": "I want to book a table.", "de": "Ich weiß nicht, ob das möglich ist.",
    "fr": "Je ne sais pas combien ça coûte.", "es": "No sé cuánto cuesta.",
    "it": "Non so quanto costa.", "pt": "Não sei quanto custa.", "nl": "Ik weet niet of dat kan.",
}  # fmt: skip
YES = {"en": "Yes, please.", "de": "Ja, gerne.", "fr": "Oui, merci.", "es": "Sí, gracias.",
       "it": "Sì, grazie.", "pt": "Sim, obrigado.", "nl": "Ja, graag."}  # fmt: skip
NODS = {"en": "uh-huh yeah", "de": "mhm ja genau", "fr": "oui d'accord", "es": "sí claro",
        "it": "sì certo", "pt": "sim claro", "nl": "ja precies"}  # fmt: skip
STOPS = {"en": "Wait!", "de": "Moment!", "fr": "Attendez !", "es": "¡Espere!", "it": "Aspetti!",
         "pt": "Espere!", "nl": "Wacht!"}  # fmt: skip
DIGITS = {
    "en": "four two one", "de": "vier zwei eins", "fr": "quatre deux un",
    "es": "cuatro dos uno", "it": "quattro due uno", "pt": "quatro dois um",
    "nl": "vier twee een",
}  # fmt: skip
ASKED = {
    "en": {"What is your phone number?": "phone_number", "Could you spell your name?": "spelling",
           "Do you have a reservation?": "yes_no", "What is your date of birth?": "date",
           "How many people?": "quantity", "What is your order number?": "digits"},
    "de": {"Wie lautet Ihre Telefonnummer?": "phone_number",
           "Können Sie das bitte buchstabieren?": "spelling", "Haben Sie reserviert?": "yes_no",
           "Nennen Sie bitte Ihr Geburtsdatum.": "date", "Für wie viele Personen?": "quantity",
           "Wie ist Ihre sechsstellige Kundennummer?": "digits"},
    "fr": {"Quel est votre numéro de téléphone ?": "phone_number",
           "Pouvez-vous l'épeler, s'il vous plaît ?": "spelling",
           "Avez-vous réservé ?": "yes_no", "Quelle est votre date de naissance ?": "date",
           "Combien de personnes ?": "quantity", "Quel est votre code postal ?": "digits"},
    "es": {"¿Cuál es su número de teléfono?": "phone_number",
           "¿Puede deletrearlo, por favor?": "spelling", "¿Tiene reserva?": "yes_no",
           "¿Cuál es su fecha de nacimiento?": "date", "¿Cuántas personas?": "quantity",
           "Dígame su número de pedido.": "digits"},
    "it": {"Qual è il suo numero di telefono?": "phone_number",
           "Può fare lo spelling, per favore?": "spelling", "Ha prenotato?": "yes_no",
           "Qual è la sua data di nascita?": "date", "Per quante persone?": "quantity",
           "Mi dica il codice cliente.": "digits"},
    "pt": {"Qual é o seu número de telefone?": "phone_number",
           "Pode soletrar, por favor?": "spelling", "Tem reserva?": "yes_no",
           "Qual é a sua data de nascimento?": "date", "Para quantas pessoas?": "quantity",
           "Diga o código postal, por favor.": "digits"},
    "nl": {"Wat is uw telefoonnummer?": "phone_number", "Kunt u dat spellen?": "spelling",
           "Heeft u gereserveerd?": "yes_no", "Wat is uw geboortedatum?": "date",
           "Voor hoeveel personen?": "quantity", "Wat is uw klantnummer?": "digits"},
}  # fmt: skip
MAIL = {"en": "ann at example dot com", "de": "anna ät beispiel punkt de",
        "fr": "anne arobase exemple point fr", "es": "ana arroba ejemplo punto es",
        "it": "anna chiocciola esempio punto it", "pt": "ana arroba exemplo ponto pt",
        "nl": "anna apenstaartje voorbeeld punt nl"}  # fmt: skip
ALL = pytest.mark.parametrize("code", CODES)


def tables(code: str, name: str) -> dict[str, object]:
    return tomllib.loads((FOLDER / code / name).read_text(encoding="utf-8"))


def test_the_languages_that_are_promised_are_there():
    assert set(CODES) >= {"en", "de", "fr", "es", "it", "pt", "nl"}
    assert set(ASKED) == set(MAIL) == set(GOES_ON) == set(CODES)


@ALL
def test_a_file_is_whole(code):
    """Every language has the keys of German, whose folder uses all that are not optional."""
    for name, optional in OPTIONAL.items():
        if code == "en" and name == "reading.toml":
            continue  # gateway/spoken/english
        mine, model = set(tables(code, name)), set(tables("de", name))
        assert model - optional <= mine <= model | optional, name
    assert language(code).code == code


@ALL
def test_placeholders_are_kept(code):
    if code == "en":
        return
    reading, model = tables(code, "reading.toml"), tables("de", "reading.toml")
    for table, key in (("dates", "spoken"), ("dates", "without_year"), ("times", "full"),
                       ("times", "with_minutes")):  # fmt: skip
        assert fields(reading[table][key]) == fields(model[table][key]), f"{table}.{key}"


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@ALL
def test_prompts_are_sentences_without_placeholders(code):
    prompts = language(code).prompts
    for text in (prompts.fallback, prompts.give_up, prompts.transfer_failed,
                 prompts.silence.goodbye, *prompts.silence.reprompts, *prompts.filler.first,
                 *prompts.filler.later):  # fmt: skip
        assert not fields(text)
        assert re.search(r"[.?!]$", text), text
        assert speakable(text, code), text


def test_english_prompts_are_the_defaults_of_the_configuration():
    agent, prompts = AgentConfig(), language("en").prompts
    for key in ("fallback", "give_up", "transfer_failed"):
        assert getattr(agent, key) == getattr(prompts, key)
    assert (agent.silence.reprompts, agent.silence.goodbye) == (
        prompts.silence.reprompts, prompts.silence.goodbye,
    )  # fmt: skip
    assert (agent.filler.first, agent.filler.later) == (prompts.filler.first, prompts.filler.later)


@ALL
def test_words_are_written_as_a_recognizer_writes_them(code):
    turns = language(code).turns
    for name, value in turns:
        if isinstance(value, frozenset) and name != "letter_sounds":
            assert all(word == word.lower() for word in value), name


@ALL
def test_a_caller_who_goes_on_is_waited_for(code):
    words = language(code).turns
    assert look(f"{GOES_ON[code]}.", None, Wanted(), words) == "unfinished"
    assert look(WHOLE[code], None, Wanted(), words) in {"whole", "doubtful"}


@ALL
def test_yes_is_an_answer(code):
    words = language(code).turns
    assert look_at_answer(YES[code], "yes_no", None, words) == "expected"
    assert look(YES[code], None, Wanted("yes_no"), words) == "expected"
    assert look(YES[code], None, Wanted(), words) in {"whole", "doubtful"}


@ALL
def test_nods_do_not_interrupt_and_commands_do(code):
    words = language(code).turns
    assert meaning(words_of(NODS[code]), words) == "backchannel"
    assert meaning(words_of(STOPS[code]), words) == "command"
    for phrases, aside in asides_of(words).items():
        for phrase in phrases.split("|"):
            assert meaning(words_of(phrase), words) == aside, phrase


@ALL
def test_digits_are_counted_and_heard_out(code):
    words = language(code).turns
    assert digit_count(DIGITS[code], words) == 3
    assert look_at_answer(DIGITS[code], "digits", 3, words) == "expected"
    assert look_at_answer(DIGITS[code], "digits", 6, words) == "dictating"
    assert sounds_dictated(DIGITS[code], words)


@ALL
def test_an_address_is_heard_out(code):
    words = language(code).turns
    whole = MAIL[code]
    assert look_at_answer(whole, "email", None, words) == "expected"
    half = whole.rpartition(" ")[0]
    assert look_at_answer(half, "email", None, words) == "dictating"
    assert sounds_dictated(half, words)


@ALL
def test_what_a_bot_asks_for_is_known(code):
    questions = language(code).questions
    for text, kind in ASKED[code].items():
        found = expected_by(text, questions)
        assert found is not None, text
        assert found.kind == kind, text
    assert expected_by(language(code).prompts.filler.first[0], questions) is None


def test_german_asks_for_six_digits():
    found = expected_by("Wie ist Ihre sechsstellige Kundennummer?", language("de").questions)
    assert found is not None
    assert found.digits == 6


@ALL
def test_no_file_loses_a_word(code, tmp_path):
    """What is wrong in a file is an error that names file and key."""
    copied = tmp_path / code
    shutil.copytree(FOLDER / code, copied)
    path = copied / "prompts.toml"
    path.write_text(path.read_text().replace("give_up", "giveup", 1))
    with pytest.raises(ConfigError) as raised:
        read(copied)
    assert "prompts.toml: give_up" in str(raised.value)
    path.write_text("fallback = \n")
    with pytest.raises(ConfigError, match=r"prompts\.toml"):
        read(copied)
