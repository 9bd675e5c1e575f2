"""Numbers, dates, times and sums in the words of a language, by its `reading.toml`."""

import pytest

from gateway.spoken import speakable

ROWS = [
    ("de", "Es kostet 12,50 € am 3. Mai 2026 um 15:30 Uhr.",
     "Es kostet zwölf Euro fünfzig am dritten Mai zweitausendsechsundzwanzig um fünfzehn Uhr"
     " dreißig."),
    ("de", "Von 9-17 Uhr, z. B. am 03.05.2026.",
     "Von neun bis siebzehn Uhr, zum Beispiel am dritten Mai zweitausendsechsundzwanzig."),
    ("de", "Der 1. Juni 1985", "Der erste Juni neunzehnhundertfünfundachtzig"),
    ("de", "um 1 Uhr", "um ein Uhr"),
    ("de", "vom 3.5. bis 7.5.", "vom dritten Mai bis siebten Mai"),
    ("de", "+49 30 901820", "plus vier neun, drei null, neun null eins acht zwei null"),
    ("de", "PLZ 04109", "PLZ null vier eins null neun"),
    ("de", "3,5 % von 1.234 kg bei -5 °C",
     "drei Komma fünf Prozent von eintausendzweihundertvierunddreißig Kilogramm bei minus fünf"
     " Grad"),
    ("de-CH", "CHF 1.50", "ein Franken fünfzig"),
    ("de-CH", "1.50 CHF, 0,50 €, 1 €", "ein Franken fünfzig, fünfzig Cent, ein Euro"),
    ("de", "1 Tisch & 2 Stühle", "1 Tisch und zwei Stühle"),
    ("de", "info@beispiel.de", "info ät beispiel Punkt de"),
    ("fr", "C'est 12,50 € le 1er mai 2026 à 15h30, 1 h",
     "C'est douze euros cinquante le premier mai deux mille vingt-six à quinze heures trente,"
     " une heure"),
    ("fr", "01 23 45 67 89", "zéro un, deux trois, quatre cinq, six sept, huit neuf"),
    ("fr", "20 % de 1 500 euros au 2e étage",
     "vingt pour cent de mille cinq cents euros au deuxième étage"),
    ("es", "Cuesta $20 el 3 de mayo de 2026 a las 15:30",
     "Cuesta veinte dólares el tres de mayo de dos mil veintiséis a las quince y treinta"),
    ("es", "912 345 678, la 2ª planta",
     "nueve uno dos, tres cuatro cinco, seis siete ocho, la segunda planta"),
    ("it", "12,50 € il 1° maggio alle 15:30",
     "dodici euro e cinquanta il primo maggio alle quindici e trenta"),
    ("pt", "12,50 € no dia 3 de maio às 15h30",
     "doze euros e cinquenta no dia três de maio às quinze e trinta"),
    ("pt-BR", "R$ 5", "cinco reais"),
    ("nl", "€ 12,50 op 3 mei 2026 om 9:00-17:00 uur",
     "twaalf euro vijftig op drie mei tweeduizendzesentwintig om negen uur tot zeventien uur"),
    ("nl", "de 3e etage, 1 tafel", "de derde etage, 1 tafel"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "written", "said"), ROWS)
def test_readings(language, written, said):
    assert speakable(written, language) == said


@pytest.mark.parametrize("language", ["de", "fr", "es", "it", "pt", "nl"])
def test_what_is_no_date_or_hour_stays_a_number(language):
    said = speakable("31.02.2026 x 25:61 x 99.99.9999 x 007", language)
    assert said
    assert speakable("1234567890123456789012345678901234567890123456789", language)
