"""The daemon: wires the rooms together, supervises them, owns the state machine. Only it knows all the rooms."""
