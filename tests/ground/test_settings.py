"""Reading the configuration: every mistake is told with file, line, key and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agentbox.config import Config
from agentbox.errors import ConfigError, ExitCode
from agentbox.settings import Loaded, find_file, load, masked, read_yaml


def write(folder: Path, text: str, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def mistake(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text))
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


# (text, code, line, key, what was expected)
MISTAKES = {
    "unknown section": ("adio: {}\n", "config_invalid", 1, "adio", "did you mean audio?"),
    "unknown key": (
        "asr:\n  threads: 1\n  modell: x\n",
        "config_invalid",
        3,
        "asr.modell",
        "this key does not exist (did you mean model?)",
    ),
    "unknown nested key": (
        "audio:\n  vad:\n    treshold: 1\n",
        "config_invalid",
        3,
        "audio.vad.treshold",
        "did you mean threshold?",
    ),
    "unknown key in a list": (
        "tools:\n  web:\n    - name: a\n      url: http://a\n      heders: {}\n",
        "config_invalid",
        5,
        "tools.web[0].heders",
        "did you mean headers?",
    ),
    "unknown empty key": ("asr:\n  nothing:\n", "config_invalid", 2, "asr.nothing", "this key does not exist"),
    "a key that is a number": ("1: x\n", "config_invalid", 1, "1", "this key does not exist"),
    "text for a number": ("asr:\n  threads: two\n", "config_invalid", 2, "asr.threads", "expected a whole number"),
    "a fraction for a whole number": (
        "asr:\n  threads: 1.5\n",
        "config_invalid",
        2,
        "asr.threads",
        "expected a whole number",
    ),
    "a number for a switch": ("storage:\n  audio: 1\n", "config_invalid", 2, "storage.audio", "expected true or false"),
    "a switch for text": ("asr:\n  model: off\n", "config_invalid", 2, "asr.model", "expected text, got true or false"),
    "a date for a number": (
        "storage:\n  retention_days: 2026-01-01\n",
        "config_invalid",
        2,
        "storage.retention_days",
        "expected a whole number",
    ),
    "text for a list": ("intents:\n  sentences: a.yaml\n", "config_invalid", 2, "intents.sentences", "expected a list"),
    "text for a section": ("log: debug\n", "config_invalid", 1, "log", "expected keys and values, got text"),
    "an item of a list": (
        "intents:\n  sentences:\n    - a.yaml\n    - 5\n",
        "config_invalid",
        4,
        "intents.sentences[1]",
        "expected text",
    ),
    "too small": ("audio:\n  block_ms: 1\n", "config_invalid", 2, "audio.block_ms", "expected a whole number >= 10"),
    "too large": ("asr:\n  threads: 99\n", "config_invalid", 2, "asr.threads", "expected a whole number <= 16"),
    "huge": (f"asr:\n  threads: {'9' * 400}\n", "config_invalid", 2, "asr.threads", "expected a whole number <= 16"),
    "not a number": ("audio:\n  queue_s: .nan\n", "config_invalid", 2, "audio.queue_s", "expected a number >= 0.5"),
    "no such choice": (
        "activation:\n  mode: alwys\n",
        "config_invalid",
        2,
        "activation.mode",
        "expected one of always, wake_phrase, push_to_talk",
    ),
    "a choice of the wrong kind": ("activation:\n  mode: 1\n", "config_invalid", 2, "activation.mode", "expected text"),
    "no such policy": (
        "tools:\n  policy:\n    set_volume: {speech: allow}\n    web:\n      speech: maybe\n",
        "config_invalid",
        5,
        "tools.policy.web.speech",
        "expected one of allow, confirm, deny",
    ),
    "no such caller": (
        "tools:\n  policy:\n    web: {speech: allow}\n    set_volume:\n      radio: allow\n",
        "config_invalid",
        5,
        "tools.policy.set_volume.radio",
        "expected one of speech, cli, cloud, brain, page, plugin",
    ),
    "a wrong value in a mapping": (
        "tools:\n  web:\n    - name: a\n      url: http://a\n      query:\n        q: x\n        n: 1\n",
        "config_invalid",
        7,
        "tools.web[0].query.n",
        "expected text, got a whole number",
    ),
    "a missing key": (
        "tools:\n  web:\n    - name: a\n    - url: http://a\n",
        "config_invalid",
        3,
        "tools.web[0]",
        "the key url is missing",
    ),
    "not a URL": (
        "tools:\n  web:\n    - name: a\n      url: ftp://a\n",
        "config_invalid",
        4,
        "tools.web[0].url",
        "expected text matching",
    ),
    "a name with a line break": (
        'tools:\n  web:\n    - name: "a\\n"\n      url: http://a\n',
        "config_invalid",
        3,
        "tools.web[0].name",
        "expected text matching",
    ),
    "pauses in the wrong order": (
        "audio:\n  endpoint:\n    complete_ms: 600\n",
        "config_invalid",
        2,
        "audio.endpoint",
        "speculate_ms <= complete_ms",
    ),
    "no phrase": ("activation:\n  phrases: []\n", "config_invalid", 1, "activation", "needs at least one phrase"),
    "one name twice": (
        "tools:\n  web:\n    - {name: a, url: 'http://a'}\n    - {name: a, url: 'http://b'}\n",
        "config_invalid",
        1,
        "tools",
        "a stands twice",
    ),
    "an unknown user's home": (
        "storage:\n  path: ~no-such-user-here/x.db\n",
        "config_invalid",
        2,
        "storage.path",
        "expected a path",
    ),
    "a voice that is not named": ("speech:\n  voice: piper\n", "config_invalid", 1, "speech", "needs piper_voice"),
    "a NUL in a path": ('asr:\n  models_dir: "a\\0b"\n', "config_invalid", 2, "asr.models_dir", "expected a path"),
    "a path in a list": (
        'intents:\n  sentences:\n    - a.yaml\n    - "\\0"\n',
        "config_invalid",
        4,
        "intents.sentences[1]",
        "expected a path",
    ),
    "a key twice": ("log:\n  level: info\n  level: debug\n", "config_syntax", 3, "log.level", "stands twice"),
    "a section twice": ("log: {}\nasr: {}\nlog: {}\n", "config_syntax", 3, "log", "stands twice"),
    "no YAML": ("log:\n  level: [info\n", "config_syntax", 3, "", "not valid YAML"),
    "a tab": ("log:\n\tlevel: info\n", "config_syntax", 2, "", "not valid YAML"),
    "an unknown tag": ("log: !!python/name:os.system x\n", "config_syntax", 1, "", "not valid YAML"),
    "two documents": ("log: {}\n---\nasr: {}\n", "config_syntax", 2, "", "not valid YAML"),
    "a list": ("- log\n", "config_syntax", 1, "", "expected keys and values"),
    "an empty list": ("[]\n", "config_syntax", 1, "", "expected keys and values"),
    "text": ("hello\n", "config_syntax", 1, "", "expected keys and values"),
}


@pytest.mark.parametrize(("text", "code", "line", "key", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, text: str, code: str, line: int, key: str, expected: str
) -> None:
    error = mistake(tmp_path, text)
    assert error.code == code
    assert error.what.startswith(f"{tmp_path / 'config.yaml'}:{line}: ")
    assert f": {key}: " in error.what or f" {key} " in error.what or not key
    assert expected in error.what
    assert error.todo


@pytest.mark.parametrize("text", ["!!int ''\n", "!!float ''\n", "!!bool x\n", "!!timestamp x\n", "a: 0b_\n", "\x01\n"])
def test_text_that_trips_the_yaml_library_is_a_syntax_error(tmp_path: Path, text: str) -> None:
    assert mistake(tmp_path, text).code == "config_syntax"


def test_a_small_file_cannot_unfold_into_a_huge_one(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert mistake(tmp_path, "\n".join(lines)).code == "config_syntax"
    assert mistake(tmp_path, "a: &a [*a]\n").code == "config_syntax"
    assert mistake(tmp_path, "a: " + "[" * 5000).code == "config_syntax"


def test_unreadable_files(tmp_path: Path) -> None:
    for name, content in {"latin1.yaml": b"log: {level: \xe9}\n", "utf16.yaml": "log: {}".encode("utf-16")}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / name)
        assert caught.value.code == "config_unreadable"
    with pytest.raises(ConfigError, match=r"name too long.*config_unreadable"):
        load(tmp_path / ("x" * 300))


def test_a_missing_file_that_was_asked_for(tmp_path: Path) -> None:
    beside = write(tmp_path, "") / "config.yaml"
    for missing in (tmp_path / "none.yaml", tmp_path, beside, Path("~no-such-user-here/c.yaml")):
        with pytest.raises(ConfigError, match="config_missing"):
            load(missing)


def test_no_file_and_an_empty_file_are_the_defaults(tmp_path: Path) -> None:
    assert load() == Loaded(Config(), None, None, {})
    for text in ("", "# nothing\n", "---\n", "\ufeff", "{}\n"):
        assert load(write(tmp_path, text)).config == Config()


@pytest.mark.parametrize(
    "text",
    [
        "audio:\nlog:\n",
        "audio:\n  vad:\n  endpoint:\n  # silence_ms: 500\n",
        "intents:\n  sentences:\n  #  - a.yaml\n",
        "tools:\n  web:\n  command:\n    commands:\n  policy:\n  options:\n",
        "asr:\n  threads:\n",
    ],
)
def test_a_key_left_empty_means_its_default(tmp_path: Path, text: str) -> None:
    assert load(write(tmp_path, text)).config == Config()


def test_an_empty_key_in_the_settings_does_not_hide_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "asr:\n  threads: 2\nactivation:\n  phrases: [hello box]\n")
    over = write(tmp_path, "asr:\nactivation:\n  phrases: null\n", "settings.yaml")
    config = load(file, over).config
    assert config.asr.threads == 2
    assert config.activation.phrases is None, "null is a value of its own where the key allows it"


def test_a_date_stays_the_text_that_was_written(tmp_path: Path) -> None:
    text = "tools:\n  web:\n    - {name: a, url: 'http://a', body: {since: 2026-01-01}, query: {since: 2026-13-45}}\n"
    request = load(write(tmp_path, text)).config.tools.web[0]
    assert request.body == {"since": "2026-01-01"}
    assert request.query == {"since": "2026-13-45"}


def test_settings_override_key_by_key_and_sources_say_so(tmp_path: Path, home: Path) -> None:
    file = write(
        tmp_path,
        "log: {level: debug, format: json}\nactivation: {phrases: [one box, two box]}\nstorage: {audio: true}\n",
    )
    over = home / ".local" / "state" / "agentbox" / "settings.yaml"
    over.parent.mkdir(parents=True)
    over.write_text("log: {level: error}\nactivation: {phrases: [three box]}\naudio: {input_device: 3}\n")
    loaded = load(file)
    assert (loaded.config.log.level, loaded.config.log.format) == ("error", "json")
    assert loaded.config.activation.phrases == ["three box"]
    assert loaded.config.audio.input_device == 3
    assert (loaded.file, loaded.settings_file) == (file, over)
    assert loaded.sources == {
        "log.level": str(over),
        "log.format": str(file),
        "activation.phrases": str(over),
        "storage.audio": str(file),
        "audio.input_device": str(over),
    }


def test_a_mistake_in_the_settings_names_the_settings_file(tmp_path: Path) -> None:
    file = write(tmp_path, "log: {level: debug}\n")
    over = write(tmp_path, "# by the page\nlog:\n  level: loud\n", "settings.yaml")
    with pytest.raises(ConfigError, match=rf"^{over}:3: log\.level: expected one of"):
        load(file, over)
    write(tmp_path, "7: x\n", "settings.yaml")
    with pytest.raises(ConfigError, match=rf"^{over}:1: 7: this key does not exist"):
        load(None, over)


def test_relative_paths_are_taken_from_the_file(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    write(
        folder,
        "asr: {models_dir: models, hotwords_file: names.txt}\nintents: {sentences: [mine.yaml, ../other.yaml]}\n"
        "tools: {plugins_dir: ~/plugins}\n"
        "storage: {path: /srv/box.db, secrets_file: secrets.yaml}\ncontrol: {socket: run/box.sock}\n",
    )
    monkeypatch.chdir(tmp_path)
    config = load("etc/config.yaml").config
    assert config.asr.models_dir == str(folder / "models")
    assert config.asr.hotwords_file == str(folder / "names.txt")
    assert config.intents.sentences == [str(folder / "mine.yaml"), str(tmp_path / "other.yaml")]
    assert config.tools.plugins_dir == str(home / "plugins")
    assert (config.storage.path, config.storage.secrets_file) == ("/srv/box.db", str(folder / "secrets.yaml"))
    assert config.control.socket == str(folder / "run" / "box.sock")


def test_a_models_folder_is_a_path_and_a_models_name_is_not(tmp_path: Path, home: Path) -> None:
    for written, model in {
        "moonshine-tiny-en": "moonshine-tiny-en",
        "./mine": str(tmp_path / "mine"),
        "~/mine": str(home / "mine"),
        "/srv/mine": "/srv/mine",
    }.items():
        assert load(write(tmp_path, f"asr: {{model: {written}}}\n")).config.asr.model == model


def test_a_voice_of_the_owners(tmp_path: Path) -> None:
    write(tmp_path, "speech: {voice: piper, piper_voice: voices/joe.onnx, piper_program: ../bin/piper}\n")
    speech = load(tmp_path / "config.yaml").config.speech
    assert speech.piper_voice == str(tmp_path / "voices" / "joe.onnx")
    assert speech.piper_program == str(tmp_path.parent / "bin" / "piper")
    assert load(write(tmp_path, "speech: {piper_program: piper3}\n")).config.speech.piper_program == "piper3"


def test_a_relative_path_in_the_settings_is_taken_from_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "state").mkdir()
    file = write(tmp_path / "etc", "intents: {sentences: [mine.yaml]}\n")
    over = write(tmp_path / "state", "asr: {models_dir: models}\n", "settings.yaml")
    config = load(file, over).config
    assert config.intents.sentences == [str(tmp_path / "etc" / "mine.yaml")]
    assert config.asr.models_dir == str(tmp_path / "state" / "models")


def test_where_the_file_is_looked_for(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_wide = Path("/etc/agentbox/config.yaml")
    assert find_file(None) == (machine_wide if machine_wide.is_file() else None)
    own = home / ".config" / "agentbox"
    own.mkdir(parents=True)
    assert find_file(None) != own
    write(own, "")
    assert find_file(None) == own / "config.yaml"
    xdg = tmp_path / "xdg" / "agentbox"
    xdg.mkdir(parents=True)
    write(xdg, "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert find_file(None) == xdg / "config.yaml"
    variable = write(tmp_path, "", "variable.yaml")
    monkeypatch.setenv("AGENTBOX_CONFIG", str(variable))
    assert find_file(None) == variable
    asked = write(tmp_path, "", "asked.yaml")
    assert find_file(asked) == asked
    monkeypatch.setenv("AGENTBOX_CONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="config_missing"):
        find_file(None)


def test_a_user_without_a_home_has_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    assert load().config == Config()


def test_masked_shows_no_secret(tmp_path: Path) -> None:
    text = """
        storage: {secrets_file: /etc/agentbox/secrets.yaml}
        tools:
          options:
            radio: {station: news, api_key: hunter2, pin: 4711, passwords: [hunter2, {inner: hunter2}],
                    login: {secret: {deep: hunter2}}, max_tokens: true, volume: 5}
          web:
            - name: orders
              url: https://me:hunter2@shop.example:8443/api/{week}?key=hunter2&week={week}#frag
              query: {appid: hunter2, week: "{week}", token: "{secret:shop}"}
              headers: {Authorization: "Bearer {secret:shop}", X-Api-Key: hunter2, X-Auth: hunter2,
                        Cookie: "a=hunter2; b={secret:shop}", Accept: text/plain}
              body: {password: hunter2, who: "{name}"}
    """
    shown = masked(load(write(tmp_path, text)).config)
    assert "hunter2" not in repr(shown)
    assert "4711" not in repr(shown)
    web = shown["tools"]["web"][0]
    assert web["url"].startswith("https://")
    assert "shop.example:8443/api/{week}" in web["url"]
    assert web["headers"]["Authorization"] == "Bearer {secret:shop}"
    assert web["headers"]["Accept"] == "text/plain"
    assert web["query"]["token"] == "{secret:shop}"
    assert web["query"]["week"] == "{week}"
    assert web["body"]["who"] == "{name}"
    assert shown["tools"]["options"]["radio"]["station"] == "news"
    assert shown["tools"]["options"]["radio"]["volume"] == 5
    assert shown["storage"]["secrets_file"] == "/etc/agentbox/secrets.yaml"


def test_masked_shows_the_defaults_as_they_are() -> None:
    shown = masked(Config())
    assert shown["activation"]["mode"] == "wake_phrase"
    assert "•" not in repr(shown)


def test_read_yaml_knows_the_line_of_each_key(tmp_path: Path) -> None:
    values, lines = read_yaml(write(tmp_path, "a:\n  b: 1\n  c:\n    - x\n    - d: 2\n"))
    assert values == {"a": {"b": 1, "c": ["x", {"d": 2}]}}
    assert lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5,
    }


# Text that looks like our configuration, with the odd pieces of YAML in it, gets further than random characters do.
WORDS = [
    *Config.__struct_fields__,
    "vad",
    "threads",
    "web",
    "name",
    "policy",
    "options",
    "phrases",
    "sentences",
    "body",
]
ODD = [*"{}[],?|>#%'\"~=", "a", "null", "1", "1.5", "-.inf", ".nan", "yes", "0b_", "1:59:59", "2026-13-45", "0o7"]
ODD += ["''", "é", "!x", "&a ", "*a", "<<", "~x/y", "\x85", "\ufeff"]
TAGS = [
    f"!!{tag} " for tag in ("int", "float", "bool", "null", "str", "seq", "map", "timestamp", "binary", "set", "omap")
]
LAYOUT = [": ", ":", "- ", "\n", "\n  ", "\n    ", "---\n", "...\n", "\t", "\0", '"\\0"']
PIECES = st.sampled_from([*WORDS, *ODD, *TAGS, *LAYOUT])
YAML_LIKE = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=30).map("".join))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["audio", "web", "name", "vad", "policy", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


def only_loaded_or_config_error(folder: Path, content: bytes) -> None:
    path = folder / "any.yaml"
    path.write_bytes(content)
    try:
        loaded = load(path, folder / "no-settings.yaml")
    except ConfigError as error:
        assert str(path) in error.what  # noqa: PT017  nothing else may be raised, and an error names the file
    else:
        masked(loaded.config)


ANY = hypothesis_settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@ANY
@given(text=YAML_LIKE)
@example(text="audio: !!set {vad}")
@example(text="tools: {options: {a: {? [1]: 2}}}")
@example(text="tools: {options: {a: {b: &x [*x]}}}")
@example(text="<<: 1")
def test_any_text_loads_or_is_a_config_error(folder: Path, text: str) -> None:
    only_loaded_or_config_error(folder, text.encode("utf-8", "surrogatepass"))


@ANY
@given(
    values=st.dictionaries(
        st.sampled_from(Config.__struct_fields__), st.dictionaries(st.text(max_size=5), PLAIN) | PLAIN
    )
)
def test_any_values_load_or_are_a_config_error(folder: Path, values: dict[str, object]) -> None:
    import yaml

    only_loaded_or_config_error(folder, yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "surrogatepass"))


@ANY
@given(data=st.data())
def test_any_value_of_any_key_loads_or_is_a_config_error_at_that_key(folder: Path, data: st.DataObject) -> None:
    import msgspec
    import yaml

    section = data.draw(st.sampled_from(msgspec.structs.fields(Config)))
    key = data.draw(st.sampled_from(msgspec.structs.fields(section.type)))
    value = data.draw(PLAIN)
    only_loaded_or_config_error(folder, yaml.safe_dump({section.name: {key.name: value}}).encode())
