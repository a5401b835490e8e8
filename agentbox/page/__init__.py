"""The phone's page and the HTTP interface: a process of its own, which reaches the box through its control socket."""
