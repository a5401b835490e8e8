"""A web server that holds files in memory, knows ranges, and breaks off when told to."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebServer:
    """What is served, what goes wrong, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path, without its query -> content."""
    break_after: list[int] = field(default_factory=list)
    """Each answer to a GET takes the first of these, sends so many bytes and breaks off; when none is left all goes
    well."""
    statuses: list[int] = field(default_factory=list)
    """Each answer takes the first of these and sends nothing else."""
    etags: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path with its query, and the Range header."""
    port: int = 0

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def serving() -> Iterator[WebServer]:
    state = WebServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.requests.append((self.path, self.headers.get("Range")))
            content = state.files.get(self.path.partition("?")[0])
            if state.statuses or content is None:
                self.send_response(state.statuses.pop(0) if state.statuses else 404)
                self.send_header("Content-Length", "0")
                self.send_header("Connection", "close")
                self.end_headers()
                return
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            start = 0
            wanted = self.headers.get("Range", "")
            if wanted and self.headers.get("If-Range") == tag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            if state.etags:
                self.send_header("ETag", tag)
            # Said and not only done: who asks again on a connection that is about to close gets no answer.
            self.send_header("Connection", "close")
            self.end_headers()
            end = start + state.break_after.pop(0) if state.break_after else len(content)
            self.wfile.write(content[start:end])

        def log_message(self, format: str, *args: object) -> None:
            """Keep standard error for what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
