"""Chinese names by their syllables: found among thousands, and what is put into text that holds none.

    pip install faker
    python -m benchmarks.hotwords_chinese --names 300 --distractors 5000

There is no Chinese voice among the registries' synthetic ones, so nothing is heard here: a recogniser that has misread
a name is stood in for by other characters of the same syllables without tones, of which each may have become one that
is easily taken for it (zh - z, n - l, an - ang ...). The text without names are the box's own Chinese sentences and
words of the page.
"""

from __future__ import annotations

import argparse
import importlib
import random
import re
import time
from collections import defaultdict
from pathlib import Path

import agentbox
from agentbox.asr.engine import Recognition
from agentbox.asr.hotwords.correct import corrected_by_text
from agentbox.asr.hotwords.index import HotwordIndex
from agentbox.phonetics import Syllable, syllables_of

SENTENCES = ("打电话给{}", "给{}发一条消息", "提醒我明天找{}", "{}今天来吗", "把{}加到名单里", "{}是谁")


def names(count: int, draw: random.Random) -> list[str]:
    provider = importlib.import_module("faker.providers.person.zh_CN").Provider
    families, given = sorted(provider.last_names), sorted(provider.first_names)
    found: dict[str, None] = {}
    while len(found) < count:
        name = draw.choice(families) + draw.choice(given)
        if all(map(syllables_of, name)):
            found[name] = None
    return list(found)


class Mishearing:
    """Writes names in other characters."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._said: defaultdict[Syllable, list[str]] = defaultdict(list)
        self._alike: defaultdict[Syllable, list[Syllable]] = defaultdict(list)
        for character in map(chr, range(0x4E00, 0xA000)):
            for syllable in syllables_of(character):
                self._said[syllable].append(character)
        for syllable in self._said:
            self._alike[syllable.blurred].append(syllable)

    def of(self, name: str, share: float) -> str:
        """`share`: of the syllables, how many become one that is easily taken for it, itself among them."""
        heard = []
        for character in name:
            syllable = syllables_of(character)[0]
            if self._draw.random() < share:
                syllable = self._draw.choice(self._alike[syllable.blurred])
            heard.append(self._draw.choice(self._said[syllable]))
        return "".join(heard)


def ordinary() -> list[str]:
    """Runs of at least five Chinese characters in the package's own files."""
    folder = Path(agentbox.__file__).parent
    texts = [
        file.read_text(encoding="utf-8") for kind in ("toml", "yaml") for file in sorted(folder.rglob(f"*.{kind}"))
    ]
    return sorted({run for text in texts for run in re.findall(r"[\u4e00-\u9fff，。？！、]{5,}", text)})


def main() -> None:
    parser = argparse.ArgumentParser(description="Chinese names by their syllables.")
    parser.add_argument("--names", type=int, default=300)
    parser.add_argument("--distractors", type=int, default=5000)
    asked = parser.parse_args()
    draw = random.Random(5)
    every = names(asked.names + asked.distractors, draw)
    index, mishearing = HotwordIndex(every), Mishearing(draw)
    for share in (0.0, 0.3, 0.6):
        first = among = put_right = long = 0
        for name in every[: asked.names]:
            text = draw.choice(SENTENCES).format(mishearing.of(name, share))
            near = [one.hotword for one in index.near(text)]
            first += near[:1] == [name]
            among += name in near
            if len(name) > 2:
                long += 1
                put_right += name in corrected_by_text(index, Recognition(text)).text
        print(
            f"{share:.0%} of the syllables blurred: among ten {among / asked.names:.1%}, the first "
            f"{first / asked.names:.1%}; by the text alone {put_right} of {long} names of three characters and more"
        )
    texts = ordinary()
    began = time.process_time()
    wrong = [one for text in texts for one in corrected_by_text(index, Recognition(text)).corrections]
    each_ms = (time.process_time() - began) * 1000 / len(texts)
    characters = sum(map(len, texts))
    print(f"put into {len(texts)} texts without names, {characters} characters: {len(wrong)}; {each_ms:.1f} ms each")


if __name__ == "__main__":
    main()
