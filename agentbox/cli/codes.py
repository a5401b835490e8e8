"""Pairing codes on a terminal."""

from __future__ import annotations

from typing import Any

import click


def show_offer(offer: dict[str, Any], *, picture: bool = True) -> None:
    """What `pair.start` gave, for whoever sits at the terminal."""
    if picture:
        qr_code(offer["url"]).print_ascii(invert=True)
    for line in (
        f"Scan it, or open {offer['place']}/pair and enter {offer['code']}.",
        f"It works once, for {offer['seconds'] / 60:.0f} minutes, and makes the device {offer['role']}.",
        "The browser warns once, since the box made its certificate itself. Its fingerprint (SHA-256) is",
        f"  {offer['fingerprint']}",
    ):
        click.echo(line)


def qr_code(text: str) -> Any:
    """A QR code that survives a finger on the lens: a seventh of it may be missed."""
    import qrcode  # `agentbox run` needs it once in a box's life

    code = qrcode.QRCode(error_correction=qrcode.ERROR_CORRECT_M, border=4)
    code.add_data(text)
    return code
