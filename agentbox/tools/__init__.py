"""What the box can do. Start reading at `declaration` (what a tool is), `registry` (how they are found) and `runner`
(how one is called). The names below are the interface for plugins; docs/plugins.md tells how to write one."""

from agentbox.errors import ToolError
from agentbox.messages import Notice, Reply, Undo
from agentbox.tools.context import ModuleContext, Outcome, Service, ToolContext
from agentbox.tools.declaration import Tool, tool

__all__ = ["ModuleContext", "Notice", "Outcome", "Reply", "Service", "Tool", "ToolContext", "ToolError", "Undo", "tool"]
