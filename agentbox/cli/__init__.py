"""The `agentbox` command."""


def main() -> None:
    """Placeholder entry until the commands stand."""
