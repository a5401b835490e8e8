"""DashScope's tasks (`run-task`, `continue-task`, `finish-task`): what its recognition and its voices have in common.
One connection serves one task after the other.

Source: both surfaces of the vendor's SDK (dashscope 2.0.2, `audio` and `v2`), the frames they send, and the vendor's
pages of client and server events (2026). Nobody here tried it against the vendor's service.
"""

from __future__ import annotations

import re
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import ClassVar

from agentbox.messages import JSON
from agentbox.realtime.events import Event, Failed, Ready, Used
from agentbox.realtime.failures import CloudError, Failure, failure, of_words
from agentbox.realtime.session import (
    Account,
    Capabilities,
    Endpoint,
    Frame,
    Setup,
    at,
    merged,
    nonsense,
    number_of,
    packed,
    text_of,
    unpacked,
)

PATH = "/api-ws/v1/inference"
REGION = "cn-beijing"
HOSTS = {
    "cn-beijing": "dashscope.aliyuncs.com",
    "ap-southeast-1": "dashscope-intl.aliyuncs.com",
    "cn-hongkong": "cn-hongkong.dashscope.aliyuncs.com",
    "us-east-1": "dashscope-intl.aliyuncs.com",
    "eu-central-1": "dashscope-intl.aliyuncs.com",
    "ap-northeast-1": "dashscope-intl.aliyuncs.com",
}
"""Shared hosts, by region; a workspace has its own host in each. A key is good for one region."""

IDLE_S = 23.0
"""A task that gets nothing for so long is failed by the service. Between two tasks it waits for 60 s."""

_PING_S = 30.0
"""As the vendor's SDK does."""

_NOT_PARAMETERS = ("region", "resources", "input")
"""Options that go elsewhere than into `parameters`."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_WRONG_SETTINGS = re.compile(r"engine.{0,24}4(11|18)\b|voice.{0,16}invalid|invalid.{0,16}voice", re.IGNORECASE)
_ASKED_WRONG = re.compile(r"client|invalid|bad.?request|unsupported", re.IGNORECASE)


def endpoint_of(account: Account) -> Endpoint:
    """Option `region` names another region than Beijing. Raises `CloudError` where no host can be made of it and of
    the workspace: what is put into a host's name may not lead the key elsewhere."""
    headers = {"Authorization": f"Bearer {account.key}"}
    region, workspace = account.options.get("region", REGION), account.workspace
    if workspace:
        headers["X-DashScope-WorkSpace"] = workspace
    if not isinstance(region, str) or not all(_NAME.fullmatch(name) for name in (region, workspace or region)):
        raise CloudError(failure("cloud_address"))
    host = f"{workspace}.{region}.maas.aliyuncs.com" if workspace else HOSTS.get(region)
    if host is None and not account.url:
        raise CloudError(failure("cloud_address"))
    return Endpoint(account.url or f"wss://{host}{PATH}", headers, _PING_S)


@dataclass(slots=True)
class Task:
    """One recognition or one text to be spoken."""

    id: str
    frames: list[Frame] = field(default_factory=list)
    """Wait until the service has started the task."""
    is_started: bool = False
    is_used: bool = False
    """It was given sound or text."""
    is_ended: bool = False
    """There comes no more of either."""
    is_wanted: bool = True
    is_whole: bool = True
    """Its end is the end of what was asked for."""
    characters: int = 0
    can_sound: bool = False
    """There is something in it that can be spoken."""
    sounded: bool = False
    used: dict[str, float] = field(default_factory=dict)


class Tasks:
    """What recognition and synthesis share. The first task is the one that the service knows; commands go to the
    last, and one that is needed before the first has ended waits: sound has no task's name on it."""

    function: ClassVar[dict[str, JSON]]

    def __init__(self, account: Account, setup: Setup, model: str, capabilities: Capabilities) -> None:
        self.account = account
        self.setup = setup
        self.model = model
        self.capabilities = capabilities
        self._tasks: deque[Task] = deque()
        self._now: list[Frame] = []
        self._is_open = False
        self._is_ready = False

    def parameters(self) -> dict[str, JSON]:
        """The settings of a task."""
        raise NotImplementedError

    def own_parameters(self) -> dict[str, JSON]:
        """Those that the owner sets."""
        return {name: value for name, value in self.account.options.items() if name not in _NOT_PARAMETERS}

    def input(self) -> dict[str, JSON]:
        """What a task is given as it starts."""
        return {}

    def opened(self) -> None:
        self._is_open = True
        if self._tasks:
            self._run()
        else:
            self._task()

    def frames(self) -> list[Frame]:
        taken, self._now = self._now, []
        return taken

    def commit(self) -> None:
        self._end(self._task())

    def finish(self) -> None:
        self._forget_waiting()
        if self._tasks and self._tasks[0].is_started and not self._tasks[0].is_ended:
            self._end(self._tasks[0])

    def closed(self, code: int | None, reason: str) -> list[Event]:
        return [Failed(of_words("", reason, default="cloud_closed" if self._tasks else "cloud_idle"))]

    def receive(self, frame: Frame) -> list[Event]:
        task = self._tasks[0] if self._tasks else None
        if isinstance(frame, bytes):
            return self._on_sound(task, frame)
        message = unpacked(frame)
        header = at(message, "header")
        if not isinstance(header, dict):
            return nonsense()
        event = text_of(header, "event")
        if event == "task-failed":
            # Whichever task it names: the service closes the connection after it.
            return [Failed(self._failure_of(header))]
        if task is None or text_of(header, "task_id") not in ("", task.id):
            return []  # late, of a task that is over
        if event == "task-started":
            return self._on_started(task, header)
        if not task.is_started:
            return []
        if event == "result-generated":
            return [*self._on_result(task, at(message, "payload", "output")), *self._used(task, message)]
        if event == "task-finished":
            return [*self._used(task, message), *self._on_finished(task)]
        return []

    def _task(self) -> Task:
        """The task that commands go to."""
        if not self._tasks or self._tasks[-1].is_ended:
            self._tasks.append(Task(uuid.uuid4().hex))
            if len(self._tasks) == 1:
                self._run()
        return self._tasks[-1]

    def _run(self) -> None:
        """Introduce the first task."""
        if not self._is_open:
            return
        parameters = merged(self.parameters(), self.own_parameters()) | {"format": "pcm"}
        payload: dict[str, JSON] = {
            "task_group": "audio",
            **self.function,
            "model": self.model,
            # Null takes away what would be sent.
            "parameters": {name: value for name, value in parameters.items() if value is not None},
            "input": self.input(),
        }
        if "resources" in self.account.options:
            payload["resources"] = self.account.options["resources"]
        self._now.append(frame_of("run-task", self._tasks[0], payload))

    def _give(self, task: Task, frame: Frame) -> None:
        (self._now if task.is_started else task.frames).append(frame)

    def _end(self, task: Task, **given: JSON) -> None:
        task.is_ended = True
        self._give(task, frame_of("finish-task", task, {"input": given}))

    def _forget_waiting(self) -> None:
        """Of tasks that the service does not know, and of what it has not seen of the one it knows."""
        while len(self._tasks) > 1:
            self._tasks.pop()
        if self._tasks and not self._tasks[0].is_started:
            # It never heard of any of it: the task may serve what comes next.
            self._tasks[0] = Task(self._tasks[0].id)

    def _on_started(self, task: Task, header: JSON) -> list[Event]:
        if task.is_started:
            return []
        task.is_started = True
        self._now += task.frames
        task.frames = []
        if self._is_ready:
            return []
        self._is_ready = True
        return [Ready(text_of(header, "request_id") or task.id)]

    def _on_result(self, task: Task, output: JSON) -> list[Event]:
        return []

    def _on_sound(self, task: Task | None, pcm: bytes) -> list[Event]:
        raise NotImplementedError

    def _on_finished(self, task: Task) -> list[Event]:
        self._tasks.popleft()
        if self._tasks:
            self._run()
        return self._result_of(task)

    def _result_of(self, task: Task) -> list[Event]:
        """What the end of a task means."""
        raise NotImplementedError

    def _used(self, task: Task, message: JSON) -> list[Event]:
        """The service counts from the task's beginning."""
        usage = at(message, "payload", "usage")
        units: dict[str, float] = {}
        for name in list(usage)[:64] if isinstance(usage, dict) else []:
            count = number_of(usage, name)
            if count is not None and count > task.used.get(name, 0.0) and len(task.used) < 64:
                units[name] = count - task.used.get(name, 0.0)
                task.used[name] = count
        return [Used(units)] if units else []

    def _failure_of(self, header: JSON) -> Failure:
        code, words = text_of(header, "error_code"), text_of(header, "error_message")
        if code.startswith("InvalidParameter") or _WRONG_SETTINGS.search(words[:2000]):
            return failure("cloud_settings", code)
        default = "cloud_down"
        if _ASKED_WRONG.match(code):
            default = "cloud_refused" if self._is_ready else "cloud_settings"
        return of_words(code, words, default=default)


def frame_of(action: str, task: Task, payload: dict[str, JSON]) -> str:
    return packed({"header": {"action": action, "task_id": task.id, "streaming": "duplex"}, "payload": payload})
