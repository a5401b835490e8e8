"""Pictures of every page, to be looked at: python -m tests.page.screens docs/screens"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import PIL.Image

from tests.page.browser import PLACES, address_of, chromium, pair, visit
from tests.page.conftest import Daemon, running

COLOURS = 64
"""Enough for text and two or three inks, and a fifth of the bytes."""

LOOKS = ((True, False, "en"), (True, True, "zh"), (False, False, "zh"), (False, True, "en"))

TALK = ("what time is it", "set a pizza timer for ten minutes", "add milk to my shopping list", "why is the sky blue")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as state, running(Path(state), page={"name": "kitchen"}) as daemon:
        phone = daemon.phone(name="Ann's phone")
        for text in TALK:
            phone.send("/talk", text=text)
        shoot(daemon, folder)


def shoot(daemon: Daemon, folder: Path) -> None:
    with chromium() as browser:
        for is_phone, dark, language in LOOKS:
            with visit(browser, phone=is_phone, dark=dark, daemon=daemon) as page:
                pair(page, daemon, name="Ben's phone" if is_phone else "desk")
                page.context.add_cookies([{"name": "agentbox-language", "value": language, "url": daemon.url}])
                for name, place in PLACES.items():
                    page.goto(address_of(daemon, place))
                    page.wait_for_timeout(300)
                    device, light = "phone" if is_phone else "desk", "dark" if dark else "light"
                    picture = PIL.Image.open(io.BytesIO(page.screenshot(full_page=True, scale="css")))
                    file = folder / f"{name}-{device}-{light}.png"
                    picture.convert("RGB").quantize(COLOURS).save(file, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
