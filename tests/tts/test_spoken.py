"""What is said of numbers, units and signs: said by the voice, and heard by our own ears."""

from __future__ import annotations

import re

import pytest

from agentbox.tts.hibari import HibariVoice
from agentbox.tts.spoken import spoken
from tests.tts.conftest import Hear


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("That costs 1,250 €.", "That costs 1,250 euros."),
        ("It was 9.99 $ before.", "It was 9.99 dollars before."),
        ("Call 555-0123 now.", "Call 5 5 5, 0 1 2 3 now."),
        ("Room 007.", "Room 0 0 7."),
        ("Open from 9-5, 3 x 4.", "Open from 9 to 5, 3 times 4."),
        ("5g of salt, e.g., this.", "5 grams of salt, for example this."),
        ("See https://www.example.com/help?q=1. Then call me.", "See example dot com. Then call me."),
        ("(https://x.com) or https://a.b:8080, etc. Milk.", "(x dot com) or a dot b, and so on. Milk."),
        ("Milk etc. too, eggs etc.", "Milk and so on too, eggs and so on."),
        ("1 €, 1 g, 5g of it, 5 million €, 300 ¥.", "1 euro, 1 gram, 5 grams of it, 5 million euros, 300 yen."),
        ("1-800-555-1234 and 800-555-1234.", "1, 8 0 0, 5 5 5, 1 2 3 4 and 8 0 0, 5 5 5, 1 2 3 4."),
        ("Half a \ud800 letter.", "Half a ? letter."),
        # What the voice knows by itself, or what means something else, is left alone.
        ("On 2026-11-21 at 14:05 it was -3 °C, 0.05 mm.", "On 2026-11-21 at 14:05 it was -3 °C, 0.05 mm."),
        ("Pages 100-200 of 2019-2020, a 5g network, 4g LTE.", "Pages 100 to 200 of 2019-2020, a 5g network, 4g LTE."),
        ("5 - 3 = 2, 5 -3, 9-5.5, 1.5-2 kg, 1,000-2000.", "5 - 3 = 2, 5 -3, 9-5.5, 1.5-2 kg, 1,000-2000."),
        ("$9.99 for the 3rd, 45% at 7:05 AM, 5 GB.", "$9.99 for the 3rd, 45% at 7:05 AM, 5 GB."),
    ],
)
def test_signs_are_written_out(text: str, words: str) -> None:
    assert spoken(text, "en-GB") == words
    assert spoken(text, "zh-CN") == text.replace("\ud800", "?")


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("It is 7:05 AM.", "seven (oh )?five|7:05"),
        ("It is Saturday, November 21, 2026.", "saturday,? november (21|twenty.?first),? (2026|twenty twenty.?six)"),
        ("Timer set for 1 hour and 10 minutes.", "(one|1) hour and (ten|10) minutes"),
        ("The volume is at 45 percent.", "(45|forty.?five) ?(percent|%)"),
        ("It is 21.5 °C in the kitchen.", "(twenty.?one|21) ?(point|\\.) ?(five|5) degrees celsius"),
        ("It is -3 °C outside.", "(minus|negative|-) ?(three|3) degrees celsius"),
        ("The package weighs 2.5 kg.", "(2\\.5|two point five) kilo"),
        ("You are 12 km from home.", "(twelve|12) kilomet"),
        ("That costs $9.99.", "9\\.99|nine dollars and ninety"),
        ("That costs 1,250 €.", "1,?250 euros|two hundred and fifty euros"),
        ("Dr. Smith lives on Baker St.", "doctor smith lives on baker street"),
        ("Call 555-0123.", "five five five.*(zero|oh|o) one two three|555.?0123"),
        ("Add 250 ml of milk and 5 g of salt.", "(250|two hundred (and )?fifty) milli.*(five|5) grams"),
        ("It is open from 9-5.", "(nine|9) to (five|5)"),
        ("1/2 cup of sugar.", "(one|a)?.?half( a)? cup"),
        ("The 3rd of May, 1998.", "(third|3rd) of may,? (1998|nineteen ninety.?eight)"),
    ],
)
def test_it_is_heard_as_it_was_meant(text: str, heard: str, voice: HibariVoice, hear: Hear) -> None:
    said = hear(voice.say(spoken(text, "en")), voice.sample_rate_hz)
    assert re.search(heard, said.lower()), said
