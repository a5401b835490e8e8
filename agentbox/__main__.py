"""`python -m agentbox` is the same as `agentbox`."""

from agentbox.cli import main

if __name__ == "__main__":
    main()
