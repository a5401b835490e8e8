"""Alibaba's DashScope: streaming recognition (Fun-ASR and its kin) and streaming voices (CosyVoice and its kin).

Source: both surfaces of the vendor's SDK (dashscope 2.0.2, `audio` and `v2`), the frames they send, and the vendor's
pages of client and server events (2026). Nobody here tried it against the vendor's service.
"""

from __future__ import annotations

import textwrap
from collections import deque
from typing import ClassVar

from agentbox.messages import JSON
from agentbox.realtime.dashscope_tasks import IDLE_S, Task, Tasks, endpoint_of, frame_of
from agentbox.realtime.events import AnswerSound, Event, Failed, Finished, Heard
from agentbox.realtime.failures import failure
from agentbox.realtime.session import Account, Capabilities, Endpoint, Setup, at, nonsense, number_of, rate_of, text_of

ASR_MODEL = "fun-asr-realtime"
TTS_MODEL = "cosyvoice-v3-flash"
VOICES = {
    "cosyvoice-v3-flash": "longanyang",
    "cosyvoice-v3-plus": "longanyang",
    "cosyvoice-v1": "longxiaochun",
    "qwen-audio-3.0-tts-flash": "longanhuan_v3.6",
    "qwen-audio-3.1-tts-flash": "longanhuan_v3.1",
}
"""A voice belongs to a model; these are those of the vendor's pages and examples."""

HOTWORD_WEIGHT = 4
"""Of 1 to 5, as the vendor advises."""

_CONTEXT_MODELS = ("fun-asr-realtime", "fun-asr-realtime-2025-11-07")
_FUN_ASR_LANGUAGES = ("zh", "en", "ja")
_MOST_ROUNDS = 5
_ROUND_CHARACTERS = 400
_MOST_TEXT = 100_000
"""Characters kept of a segment; one that is spoken has a hundredth."""

_PIECE_CHARACTERS = 10_000
_TASK_CHARACTERS = 100_000
"""Half of what the service takes: it counts a Chinese character twice."""


class FunASR(Tasks):
    """See `session.StreamingASR`. After `Finished` the next sound begins a new recognition on the same connection.

    `options` are laid over the task's `parameters`, null takes one away. `vocabulary_id` names a list of hot words that
    is kept at the vendor's; `vocabulary` holds them itself, or is true for the box's hot words with weight 4 (seen to
    work over HTTP only, so nothing is sent unless asked for). Without either they go along as the conversation's
    domain words, where the model looks at a conversation. `input` and `resources` stand beside the parameters.
    """

    function: ClassVar[dict[str, JSON]] = {"task": "asr", "function": "recognition"}

    def __init__(self, account: Account, setup: Setup) -> None:
        model = account.model or ASR_MODEL
        rate_hz = rate_of(account, 8_000 if "8k" in model else 16_000)
        capabilities = Capabilities(input_rate_hz=rate_hz, tools=False, takes_text=False, idle_s=IDLE_S)
        super().__init__(account, setup, model, capabilities)
        self._rounds: deque[tuple[str, str]] = deque(maxlen=_MOST_ROUNDS)
        self._segment = 0
        self._text = ""
        """Of the segment so far."""
        self._sentence: float | None = None
        """The service's number for it, where it has told one."""
        self._closed_sentence: float | None = None

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.account)

    @property
    def takes_context(self) -> bool:
        """The models that the vendor's pages name (September 2026)."""
        return self.model in _CONTEXT_MODELS or self.model.startswith("qwen-audio-")

    def parameters(self) -> dict[str, JSON]:
        language = self.setup.language.split("-")[0]
        known = not self.model.startswith("fun-asr") or language in _FUN_ASR_LANGUAGES
        return {
            "sample_rate": self.capabilities.input_rate_hz,
            # Without, a minute of silence in a turn ends the task.
            "heartbeat": True,
            "language_hints": [language] if language and known else None,
        }

    def own_parameters(self) -> dict[str, JSON]:
        own = super().own_parameters()
        if own.get("vocabulary") is True:
            own["vocabulary"] = dict.fromkeys(self.setup.hotwords, HOTWORD_WEIGHT) or None
        return own

    def input(self) -> dict[str, JSON]:
        """The conversation so far, as what was said and answered; at most five of each and 400 characters a round."""
        given = self.account.options.get("input")
        if isinstance(given, dict):
            return given
        if not self.takes_context:
            return {}
        messages: list[JSON] = []
        rounds = list(self._rounds)
        if self.setup.hotwords and not {"vocabulary", "vocabulary_id", "resources"} & set(self.account.options):
            words = textwrap.shorten(" ".join(self.setup.hotwords), _ROUND_CHARACTERS, placeholder="")
            rounds = [(words, ""), *rounds[1 - _MOST_ROUNDS :]]
        for said, answered in rounds:
            said = said[:_ROUND_CHARACTERS]
            messages.append({"role": "user", "content": [{"type": "input_text", "text": said}]})
            if answered := answered[: _ROUND_CHARACTERS - len(said)]:
                messages.append({"role": "assistant", "content": [{"type": "text", "text": answered}]})
        return {"context": messages} if messages else {}

    def remember(self, said: str, answered: str) -> None:
        """A round of the conversation, for the words that may come up again."""
        self._rounds.append((said[:_ROUND_CHARACTERS], answered[:_ROUND_CHARACTERS]))
        context = self.input()
        if context and self._tasks and not self._tasks[0].is_ended:
            self._give(self._tasks[0], frame_of("continue-task", self._tasks[0], {"input": context}))

    def append(self, pcm: bytes) -> None:
        if pcm:
            self._give(self._task(), pcm)

    def _on_sound(self, task: Task | None, pcm: bytes) -> list[Event]:
        return nonsense()

    def _on_result(self, task: Task, output: JSON) -> list[Event]:
        sentence = at(output, "sentence")
        if not isinstance(sentence, dict) or sentence.get("heartbeat") is True:
            return []
        number = number_of(sentence, "sentence_id")
        if number is not None and number == self._closed_sentence:
            return []
        events: list[Event] = []
        if number is not None and self._sentence not in (None, number):
            events += self._close()
        self._sentence = self._sentence if number is None else number
        # A sentence may be taken back: then its text is empty.
        had_text, self._text = bool(self._text), text_of(sentence, "text").strip()[:_MOST_TEXT]
        end = sentence.get("sentence_end")
        final = end if isinstance(end, bool) else sentence.get("end_time") is not None
        if self._text or had_text:
            events.append(Heard(self._text, final, self._segment))
        if final:
            self._close()
        return events

    def _close(self) -> list[Event]:
        """The segment is over; if the service did not say so, what it said last counts."""
        events: list[Event] = [Heard(self._text, True, self._segment)] if self._text else []
        self._closed_sentence, self._sentence = self._sentence, None
        self._segment += 1
        self._text = ""
        return events

    def _result_of(self, task: Task) -> list[Event]:
        events = self._close() if self._text else []
        self._closed_sentence = self._sentence = None
        if not task.is_ended:
            return events  # by itself: more sound goes on in another task, and with the next segment
        self._segment = 0
        return [*events, Finished()]


class CosyVoice(Tasks):
    """See `session.StreamingTTS`. `options` are laid over the task's `parameters`; the sound is PCM in any case."""

    function: ClassVar[dict[str, JSON]] = {"task": "tts", "function": "SpeechSynthesizer"}

    def __init__(self, account: Account, setup: Setup) -> None:
        rate_hz = rate_of(account, 24_000)
        capabilities = Capabilities(output_rate_hz=rate_hz, tools=False, tells_heard=False, idle_s=IDLE_S)
        super().__init__(account, setup, account.model or TTS_MODEL, capabilities)
        self._half = b""
        """Of a sample that two frames share."""

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.account)

    def parameters(self) -> dict[str, JSON]:
        return {
            "voice": self.setup.voice or VOICES.get(self.model),
            "text_type": "PlainText",
            "sample_rate": self.capabilities.output_rate_hz,
        }

    def say(self, text: str) -> None:
        for begin in range(0, len(text), _PIECE_CHARACTERS):
            piece = text[begin : begin + _PIECE_CHARACTERS]
            task = self._task()
            if task.characters + len(piece) > _TASK_CHARACTERS:
                task.is_whole = False
                self._end(task)
                task = self._task()
            task.characters += len(piece)
            task.is_used = True
            task.can_sound = task.can_sound or any(letter.isalnum() for letter in piece)
            self._give(task, frame_of("continue-task", task, {"input": {"text": piece}}))

    def interrupt(self, heard_ms: float) -> None:
        self._forget_waiting()
        task = self._tasks[0] if self._tasks else None
        if task is None or not task.is_started or not task.is_wanted or not (task.is_used or task.is_ended):
            return
        task.is_wanted = False
        self._end(task, directive="cancel")

    def finish(self) -> None:
        self.interrupt(0.0)
        super().finish()

    def _on_sound(self, task: Task | None, pcm: bytes) -> list[Event]:
        if task is None or not task.is_started or not task.is_wanted:
            return []
        pcm = self._half + pcm
        whole = len(pcm) // 2 * 2
        self._half = pcm[whole:]
        task.sounded = True
        return [AnswerSound(task.id, pcm[:whole])] if whole else []

    def _result_of(self, task: Task) -> list[Event]:
        self._half = b""
        if not task.is_wanted or not task.is_ended:
            return []
        if task.can_sound and not task.sounded:
            return [Failed(failure("cloud_silent"), session=False)]
        return [Finished()] if task.is_whole else []
