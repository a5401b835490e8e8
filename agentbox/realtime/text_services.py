"""Services with text models, by the name that the owner gives (`brain.kind`): where they are and what they speak.

Sources: the vendors' SDKs for the addresses of OpenAI, Anthropic and DashScope; OpenClaw's docs (openai-http-api);
Ollama's from general knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentbox.realtime.anthropic_messages import VERSION, AnthropicMessages, Auth
from agentbox.realtime.chat_completions import MAX_TOKENS, ChatCompletions, Habits
from agentbox.realtime.failures import CloudError, failure
from agentbox.realtime.session import Account
from agentbox.realtime.text_model import TextModel


@dataclass(frozen=True, slots=True)
class Service:
    """`habits` null: it speaks Anthropic Messages, and not chat completions."""

    url: str
    habits: Habits | None = None
    model: str = ""
    """Empty: the owner must name one."""


SERVICES: dict[str, Service] = {
    "openai": Service("https://api.openai.com/v1", Habits(tokens_field="max_completion_tokens")),
    "anthropic": Service("https://api.anthropic.com"),
    "dashscope": Service("https://dashscope.aliyuncs.com/compatible-mode/v1", Habits(), "qwen-plus"),
    "stepfun": Service("https://api.stepfun.com/v1", Habits()),
    "ollama": Service("http://127.0.0.1:11434/v1", Habits()),
    # An agent with a memory of its own. It must be told to listen: gateway.http.endpoints.chatCompletions.enabled.
    "openclaw": Service("http://127.0.0.1:18789/v1", Habits(remembers=True), "openclaw/default"),
    # Any other server that speaks chat completions; its url must be given.
    "compatible": Service("", Habits()),
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the owner may set beside the account."""

    max_tokens: int = MAX_TOKENS
    user: str = ""
    """The conversation's name, for services that keep it (OpenClaw: "agentbox:kitchen")."""
    returns_thoughts: bool = False
    auth: Auth = "bearer"
    version: str = VERSION


def text_model(kind: str, account: Account, choices: Choices | None = None) -> TextModel:
    """The model at a service of `SERVICES`. Raises `CloudError` `cloud_model` and `cloud_address` where the owner must
    name one."""
    service, choices = SERVICES[kind], choices or Choices()
    account = replace(account, url=account.url or service.url, model=account.model or service.model)
    if not account.model:
        raise CloudError(failure("cloud_model"))
    if not account.url:
        raise CloudError(failure("cloud_address"))
    if service.habits is None:
        return AnthropicMessages(account, auth=choices.auth, version=choices.version, max_tokens=choices.max_tokens)
    # Without a name there is nothing to remember the conversation by.
    remembers = service.habits.remembers and bool(choices.user)
    habits = replace(service.habits, remembers=remembers, returns_thoughts=choices.returns_thoughts)
    return ChatCompletions(account, habits, max_tokens=choices.max_tokens, user=choices.user)
