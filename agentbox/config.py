"""The configuration's shape: every key, its type, its default and what values make sense.

config.example.yaml says in the owner's words what each key does; a test holds the two together.
Reading files and laying them over each other is `settings`' work.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from agentbox.languages import normal_language, primary

Policy = Literal["allow", "confirm", "deny"]
Caller = Literal["speech", "cli", "cloud", "brain", "page", "plugin"]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
Language = Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sections share: unknown keys are mistakes."""


class Endpoint(Section, frozen=True):
    """When a pause ends the turn (DESIGN: adaptive endpointing). Milliseconds of silence after speech."""

    speculate_ms: Annotated[int, Meta(ge=64, le=1000)] = 160
    complete_ms: Annotated[int, Meta(ge=100, le=3000)] = 250
    continuable_ms: Annotated[int, Meta(ge=100, le=3000)] = 450
    silence_ms: Annotated[int, Meta(ge=200, le=5000)] = 700
    min_speech_ms: Annotated[int, Meta(ge=32, le=1000)] = 128
    max_utterance_s: Annotated[float, Meta(ge=2, le=60)] = 25.0

    def __post_init__(self) -> None:
        if not self.speculate_ms <= self.complete_ms <= self.continuable_ms <= self.silence_ms:
            raise ValueError("speculate_ms <= complete_ms <= continuable_ms <= silence_ms must hold")


class Vad(Section, frozen=True):
    threshold: Annotated[float, Meta(ge=0.05, le=0.95)] = 0.5
    gate_db: Annotated[float, Meta(ge=0, le=20)] = 4.0
    gate_floor_dbfs: Annotated[float, Meta(ge=-96, le=-20)] = -62.0


class Audio(Section, frozen=True):
    input_device: str | int = "default"
    output_device: str | int = "default"
    sounds: bool = True
    echo: Literal["auto", "half_duplex", "none"] = "auto"
    block_ms: Annotated[int, Meta(ge=10, le=200)] = 96
    queue_s: Annotated[float, Meta(ge=0.5, le=120)] = 10.0
    pre_roll_ms: Annotated[int, Meta(ge=100, le=2000)] = 500
    vad: Vad = field(default_factory=Vad)
    endpoint: Endpoint = field(default_factory=Endpoint)


class ActivationConfig(Section, frozen=True):
    mode: Literal["always", "wake_phrase", "push_to_talk"] = "wake_phrase"
    phrases: list[Annotated[str, Meta(min_length=2, max_length=60)]] | None = None
    attention_s: Annotated[float, Meta(ge=1, le=60)] = 6.0
    listen_after: Literal["questions", "replies"] = "questions"
    feedback: Literal["pause", "at_once", "none"] = "pause"
    likeness: Annotated[float, Meta(ge=0.5, le=1.0)] = 0.85
    sensitivity: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.5

    def __post_init__(self) -> None:
        if self.mode == "wake_phrase" and self.phrases is not None and not self.phrases:
            raise ValueError("mode wake_phrase needs at least one phrase in phrases")


class Persona(Section, frozen=True):
    """Who the box is: in its own replies, to a text brain and to a cloud model alike."""

    name: Annotated[str, Meta(min_length=1, max_length=60)] = "agentbox"
    manner: Literal["plain", "warm"] = "plain"
    text: Annotated[str, Meta(max_length=4000)] = ""


class Asr(Section, frozen=True):
    model: str = "moonshine-tiny-en"
    language: Language = "en"
    other_languages: Annotated[list[Language], Meta(max_length=7)] = field(default_factory=list)
    threads: Annotated[int, Meta(ge=1, le=16)] | None = None
    partials: bool = True
    models_dir: str | None = None
    hotwords: list[Annotated[str, Meta(min_length=1, max_length=60)]] = field(default_factory=list)
    hotwords_file: str | None = None
    second_model: str | None = None
    second_below: Annotated[float, Meta(ge=0, le=1)] = 0.9
    second_within_s: Annotated[float, Meta(ge=0.2, le=10)] = 2.5

    def __post_init__(self) -> None:
        others = [primary(language) for language in self.other_languages]
        twice = sorted({language for language in others if others.count(language) > 1})
        if twice:
            raise ValueError(f"other_languages must differ, but {', '.join(twice)} stands twice")


class Intents(Section, frozen=True):
    sentences: list[str] = field(default_factory=list)
    builtin: bool = True
    likeness: Annotated[float, Meta(ge=0.5, le=1.0)] = 0.84
    follow_up_s: Annotated[float, Meta(ge=0, le=300)] = 30.0


class WebRequest(Section, frozen=True):
    """One HTTP call the owner defined. `{slot}` stands for a slot's value, `{secret:name}` for a secret."""

    name: Name
    url: Annotated[str, Meta(pattern=r"^https?://")]
    description: str = ""
    intent: str | None = None
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    pick: dict[str, str] = field(default_factory=dict)
    answer: str = "{text}"
    failure: str = ""
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 8.0
    max_bytes: Annotated[int, Meta(ge=1, le=4 << 20)] = 256 << 10


class Command(Section, frozen=True):
    """One program the owner allows. `argv` is fixed; `{slot}` fills a whole or part of one argument, never more."""

    name: Name
    argv: Annotated[list[str], Meta(min_length=1)]
    description: str = ""
    intent: str | None = None
    answer: str = "{text}"
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 10.0


class Commands(Section, frozen=True):
    enabled: bool = False
    commands: list[Command] = field(default_factory=list)


class Tools(Section, frozen=True):
    plugins_dir: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=300)] = 10.0
    max_result_bytes: Annotated[int, Meta(ge=256, le=1 << 20)] = 16 << 10
    confirm_s: Annotated[float, Meta(ge=3, le=120)] = 20.0
    policy: dict[str, dict[Caller, Policy]] = field(default_factory=dict)
    web: list[WebRequest] = field(default_factory=list)
    command: Commands = field(default_factory=Commands)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [request.name for request in self.web] + [command.name for command in self.command.commands]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"names under web and command must differ, but {', '.join(twice)} stands twice")


class Storage(Section, frozen=True):
    path: str | None = None
    transcripts: bool = True
    audio: bool = False
    retention_days: Annotated[int, Meta(ge=0, le=36500)] = 90
    secrets_file: str | None = None


HOURS = r"^(|([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9])\Z"
LOOPBACK = r"(127\.0\.0\.1|localhost|\[::1\])"


class Price(Section, frozen=True):
    """What a backend costs, in the owner's money."""

    minute_out: Annotated[float, Meta(ge=0)] = 0.0
    minute_in: Annotated[float, Meta(ge=0)] = 0.0
    million: dict[str, Annotated[float, Meta(ge=0)]] = field(default_factory=dict)


class Backend(Section, frozen=True):
    """A cloud model that the owner may hand conversations to. `key` names a secret; it is never the key itself."""

    name: Name
    kind: Literal[
        "openai",
        "qwen",
        "stepfun",
        "stepfun_stateless",
        "gemini",
        "doubao",
        "doubao_duplex",
        "openai_asr",
        "fun_asr",
        "qwen_asr",
        "step_asr",
        "seed_asr",
        "cosyvoice",
        "qwen_tts",
        "step_tts",
    ]
    model: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:/-]{0,100}\Z")] = ""
    voice: Annotated[str, Meta(max_length=100)] = ""
    url: Annotated[str, Meta(pattern=rf"^(|wss://[^?#@\s]+|ws://{LOOPBACK}[:/][^?#@\s]*)\Z")] = ""
    key: Name | None = None
    app_id: str = ""
    workspace: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    price: Price = field(default_factory=Price)


LOCAL = "local"
"""In place of a backend's name: none of them."""


class CloudConfig(Section, frozen=True):
    policy: Literal["local_only", "local_first", "cloud_first"] = "local_only"
    use: Annotated[str, Meta(pattern=r"^(|[a-z][a-z0-9_]{0,63})\Z")] = ""
    backends: list[Backend] = field(default_factory=list)
    minutes_per_day: Annotated[float, Meta(ge=0)] | None = None
    money_per_day: Annotated[float, Meta(ge=0)] | None = None
    quiet_hours: Annotated[str, Meta(pattern=HOURS)] = ""
    linger_s: Annotated[float, Meta(ge=0, le=3600)] = 60.0

    def __post_init__(self) -> None:
        names = [backend.name for backend in self.backends]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"backends must have different names, but {', '.join(twice)} stands twice")
        if LOCAL in names:
            raise ValueError(f"no backend may be called {LOCAL}: that is the box itself")

    @property
    def is_wanted(self) -> bool:
        """Whether anything may leave the box at all."""
        return self.policy != "local_only" and bool(self.backends)


class BrainConfig(Section, frozen=True):
    """A text model for what no sentence matches. `key` names a secret; it is never the key itself."""

    kind: Literal["none", "openai", "anthropic", "dashscope", "stepfun", "ollama", "openclaw", "compatible"] = "none"
    model: Annotated[str, Meta(max_length=100)] = ""
    url: Annotated[str, Meta(pattern=r"^(|https?://[^?#@\s]+)\Z")] = ""
    key: Name | None = None
    user: Annotated[str, Meta(max_length=100)] = ""
    header: Literal["bearer", "x_api_key"] = "bearer"
    max_length: Annotated[int, Meta(ge=16, le=100_000)] = 1024
    tool_rounds: Annotated[int, Meta(ge=0, le=20)] = 4
    turns: Annotated[int, Meta(ge=1, le=200)] = 20
    forget_s: Annotated[float, Meta(ge=0, le=86400)] = 300.0
    total_s: Annotated[float, Meta(ge=1, le=600)] = 60.0
    options: dict[str, Any] = field(default_factory=dict)
    price: Price = field(default_factory=Price)


class Speech(Section, frozen=True):
    verbosity: Literal["full", "short", "sounds"] = "full"
    quiet_hours: Annotated[str, Meta(pattern=HOURS)] = ""
    voice: Literal["auto", "hibari", "espeak", "piper"] = "auto"
    piper_voice: str | None = None
    piper_program: Annotated[str, Meta(min_length=1)] = "piper"
    pace: Annotated[float, Meta(ge=0.5, le=2.0)] = 1.0
    replies: str | None = None

    def __post_init__(self) -> None:
        if self.voice == "piper" and self.piper_voice is None:
            raise ValueError("the voice piper needs piper_voice, the path of a voice's .onnx file")


class Control(Section, frozen=True):
    socket: str | None = None


class Page(Section, frozen=True):
    enabled: bool = True
    lan: bool = False
    port: Annotated[int, Meta(ge=0, le=65535)] = 8443
    name: Annotated[str, Meta(max_length=63)] = ""
    mdns: bool = True
    certificate: str | None = None
    guests_read: bool = False


class UpdatesConfig(Section, frozen=True):
    """Whether the box asks for newer versions, and where; without an address it never does."""

    check: bool = False
    url: Annotated[str, Meta(pattern=rf"^(|https://[^?#@\s]+|http://{LOOPBACK}[:/][^?#@\s]*)\Z")] = ""


class Log(Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class MetricsConfig(Section, frozen=True):
    listen: Annotated[str, Meta(pattern=r"^(|unix:/.+|127\.0\.0\.1:[0-9]{1,5}|\[::1\]:[0-9]{1,5})\Z")] = ""


class Config(Section, frozen=True):
    """The whole configuration."""

    audio: Audio = field(default_factory=Audio)
    activation: ActivationConfig = field(default_factory=ActivationConfig)
    asr: Asr = field(default_factory=Asr)
    intents: Intents = field(default_factory=Intents)
    tools: Tools = field(default_factory=Tools)
    storage: Storage = field(default_factory=Storage)
    speech: Speech = field(default_factory=Speech)
    persona: Persona = field(default_factory=Persona)
    cloud: CloudConfig = field(default_factory=CloudConfig)
    brain: BrainConfig = field(default_factory=BrainConfig)
    control: Control = field(default_factory=Control)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    page: Page = field(default_factory=Page)
    updates: UpdatesConfig = field(default_factory=UpdatesConfig)
    log: Log = field(default_factory=Log)

    @property
    def language(self) -> str:
        """The box's own language: of hearing, sentences and replies, as BCP-47: `zh` means `zh-CN`."""
        return normal_language(self.asr.language)

    @property
    def languages(self) -> tuple[str, ...]:
        """All that may be spoken to the box, its own first. That may stand among the others too: then it is easily
        changed for one of them."""
        own = self.language
        others = [one for one in map(normal_language, self.asr.other_languages) if primary(one) != primary(own)]
        return (own, *others)

    def in_language(self, language: str) -> Config:
        """The same for a box that speaks this one language."""
        asr = msgspec.structs.replace(self.asr, language=language, other_languages=[])
        return msgspec.structs.replace(self, asr=asr)

    @property
    def phrases(self) -> list[str]:
        """The wake phrases: the owner's, else the default of the language."""
        if self.activation.phrases is not None:
            return self.activation.phrases
        return self.default_phrases

    @property
    def default_phrases(self) -> list[str]:
        """Of the languages, for an owner who chose none."""
        return list(dict.fromkeys("你好小盒" if primary(one) == "zh" else "hey computer" for one in self.languages))
