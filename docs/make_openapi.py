"""Writes docs/openapi.json, the description of the HTTP interface, from its table. Run: python docs/make_openapi.py"""

from __future__ import annotations

import json
from pathlib import Path

from agentbox.page.openapi import describe

PAGE = Path(__file__).with_name("openapi.json")


def page() -> str:
    return json.dumps(describe(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
