"""The page is in the language of the answer on it, unless the browser chose one."""

from __future__ import annotations

from pathlib import Path

from tests.models import folder_of_models
from tests.page.conftest import running


def test_a_page_follows_the_language_of_what_was_typed(tmp_path: Path) -> None:
    asr = {"models_dir": str(folder_of_models()), "other_languages": ["zh"]}
    with running(tmp_path, asr=asr) as daemon:
        phone = daemon.phone()
        page = phone.send("/talk", text="现在几点").text
        assert '<html lang="zh">' in page
        assert '<dd lang="zh-CN">' in page
        page = phone.send("/talk", text="what time is it").text
        assert '<html lang="en">' in page
        assert '<dd lang="en">' in page
        part = phone.browser.get("/turns", headers={"Agentbox-Language": "zh"}).text
        assert "全部对话记录" in part, "what a page fetches for itself is in its language"
        assert "全部对话记录" not in phone.browser.get("/turns", headers={"Agentbox-Language": "de"}).text
        phone.browser.post("/language", data={"language": "en", "back": "/"})
        page = phone.send("/talk", text="现在几点").text
        assert '<html lang="en">' in page
        assert '<dd lang="zh-CN">' in page
