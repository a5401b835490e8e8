"""How commands, and later the page, reach a running daemon: a Unix socket, and who is at its other end."""
