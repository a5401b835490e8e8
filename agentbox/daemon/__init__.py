"""The daemon: wires the rooms together, supervises them and owns the state machine. Only this package knows them all."""
