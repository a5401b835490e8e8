"""A box at whose page nobody looks does not pay for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.page.conftest import running

WEB = {"starlette", "uvicorn", "jinja2", "h11", "anyio"}


@pytest.mark.parametrize("enabled", [False, True])
def test_the_daemon_never_loads_what_serves_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    """Python itself tells what is imported (-X importtime); the page's own process is not asked."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with running(tmp_path, page={"enabled": enabled}) as daemon:
        if enabled:
            assert "Pair this device" in daemon.browser().get("/pair").text
        imported = set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\w+)", daemon.log(), re.MULTILINE))
    assert {"agentbox", "asyncio", "msgspec"} <= imported
    assert not imported & WEB
    assert "zeroconf" not in imported  # only for who has the name announced
