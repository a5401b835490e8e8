"""A file that a form sends, passed on piece by piece: it is never whole in memory, nor on disk in this process."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from agentbox.errors import InputError
from agentbox.page.box import Device
from agentbox.page.forms import FORM_KEY

PIECE_S = 30.0
"""The longest wait for the next bytes."""

MOST_KEY_BYTES = 200


class Upload:
    """The one file of a form (multipart/form-data, RFC 7578) in which the form's key comes first."""

    def __init__(self, request: Request, device: Device) -> None:
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or b"boundary" not in options:
            raise _broken()
        self._request = request
        self._device = device
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._field,
                "on_header_value": self._value,
                "on_header_end": self._header,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._whole,
            },
        )
        self._header_name = self._header_value = b""
        self._part = ""
        self._key = b""
        self._proven = not device.by_cookie
        self._file = bytearray()
        self._over = False

    async def pieces(self, size: int) -> AsyncIterator[bytes]:
        """The file in pieces of `size` bytes, the last one shorter. Raises `InputError` `form_stale`, `form_invalid`,
        `upload_broken`."""
        try:
            stream = aiter(self._request.stream())
            while True:
                async with asyncio.timeout(PIECE_S):
                    data = await anext(stream, b"")
                if not data:
                    break
                self._parser.write(data)
                while len(self._file) >= size:
                    yield self._taken(size)
            self._parser.finalize()
        except (FormParserError, ClientDisconnect, TimeoutError) as error:
            raise _broken() from error
        if not self._over:
            raise _broken()
        if self._file:
            yield self._taken(len(self._file))

    def _taken(self, size: int) -> bytes:
        piece = bytes(self._file[:size])
        del self._file[:size]
        return piece

    def _begin(self) -> None:
        self._part = ""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(self._header_value)
            self._part = options.get(b"name", b"").decode("latin-1")
        self._header_name = self._header_value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part == FORM_KEY and len(self._key) < MOST_KEY_BYTES:
            self._key += data[start:end]
        elif self._part == "file":
            if not self._proven:
                raise InputError("form_stale", "This form is not from a page that the box made.", "Load the page anew.")
            self._file += data[start:end]

    def _end(self) -> None:
        if self._part == FORM_KEY:
            self._proven = self._proven or hmac.compare_digest(self._key, self._device.form_key.encode())

    def _whole(self) -> None:
        self._over = True


def _broken() -> InputError:
    return InputError("upload_broken", "The file did not come whole.", "Send it again.")
