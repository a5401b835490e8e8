"""The certificate, seen by OpenSSL and by `cryptography`, neither of which the daemon asks."""

from __future__ import annotations

import socket
import ssl
import stat
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

import agentbox
from agentbox.errors import ConfigError, StorageError
from agentbox.pairing.certificate import EARLIEST, KEY_FILE, LIFE_DAYS, PEM_FILE, RENEW_DAYS, ensure, own

NOW = 1_800_000_000.0
NAMES = ["desk.local", "192.168.1.5"]
DAY_S = 86_400


def read(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / PEM_FILE).read_bytes())


def test_a_client_that_trusts_it_connects_by_name_and_by_address(tmp_path: Path) -> None:
    made = ensure(tmp_path, ["desk.local", "127.0.0.1"], datetime.now(UTC).timestamp())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.file)
    for name in ("desk.local", "127.0.0.1"):
        near, far = socket.socketpair()

        def answer(far: socket.socket = far) -> None:
            server.wrap_socket(far, server_side=True).close()

        thread = threading.Thread(target=answer)
        thread.start()
        client = ssl.create_default_context(cafile=str(tmp_path / PEM_FILE))
        with client.wrap_socket(near, server_hostname=name) as secured:
            shown = secured.getpeercert(binary_form=True)
        thread.join()
        assert shown is not None
        assert x509.load_der_x509_certificate(shown) == read(tmp_path)


def test_it_is_made_whatever_lies_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = tmp_path / "downloads"
    evil.mkdir()
    for name in ("agentbox", "cryptography", "msgspec"):
        (evil / f"{name}.py").write_text(f"open({str(evil / 'run')!r}, 'w')\nraise SystemExit(1)")
    monkeypatch.chdir(evil)
    assert ensure(tmp_path / "page", NAMES, NOW).fingerprint
    assert not (evil / "run").exists()


def test_no_process_of_ours_imports_from_the_current_folder() -> None:
    for file in Path(agentbox.__file__).parent.rglob("*.py"):
        text = file.read_text()
        assert text.count('"-m"') == text.count('"-P", "-m"'), file


def test_it_is_made_once_and_only_the_box_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "page"
    first = ensure(folder, NAMES, NOW)
    assert ensure(folder, NAMES[:1], NOW + 300 * DAY_S) == first
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert first.fingerprint == read(folder).fingerprint(SHA256()).hex(":").upper()


def test_a_new_address_gets_a_new_certificate_with_the_same_key(tmp_path: Path) -> None:
    first = ensure(tmp_path, NAMES, NOW)
    key = (tmp_path / KEY_FILE).read_bytes()
    second = ensure(tmp_path, [NAMES[0], "192.168.1.77"], NOW)
    assert second.fingerprint != first.fingerprint
    assert (tmp_path / KEY_FILE).read_bytes() == key
    names = read(tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == ["192.168.1.77", "desk.local"]


def test_it_is_renewed_before_it_ends(tmp_path: Path) -> None:
    first = ensure(tmp_path, NAMES, NOW)
    late = NOW + (LIFE_DAYS - RENEW_DAYS) * DAY_S
    assert ensure(tmp_path, NAMES, late - 2 * DAY_S) == first
    assert ensure(tmp_path, NAMES, late) != first


@pytest.mark.parametrize("now", [0.0, NOW])
def test_it_is_valid_today_even_where_the_clock_was_never_set(tmp_path: Path, now: float) -> None:
    ensure(tmp_path, NAMES, now)
    found = read(tmp_path)
    today = max(now, EARLIEST)
    assert found.not_valid_before_utc.timestamp() <= today < found.not_valid_after_utc.timestamp()
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days <= LIFE_DAYS


@pytest.mark.parametrize("file", ["key.pem", "certificate.pem", "certificate.json"])
@pytest.mark.parametrize("content", [b"", b"half a", b"\xff" * 100])
def test_a_damaged_file_is_made_anew(tmp_path: Path, file: str, content: bytes) -> None:
    ensure(tmp_path, NAMES, NOW)
    (tmp_path / file).write_bytes(content)
    (tmp_path / "certificate.json").unlink(missing_ok=True)
    made = ensure(tmp_path, NAMES, NOW)
    assert own(made.file) == made


def test_an_unwritable_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StorageError) as caught:
        ensure(tmp_path, NAMES, NOW)
    assert caught.value.code == "certificate_failed"


def test_the_owners_file_is_checked(tmp_path: Path) -> None:
    made = ensure(tmp_path, NAMES, NOW)
    only = tmp_path / "only.pem"
    for text in ("", "nonsense", made.file.read_text().partition("-----BEGIN CERT")[0]):
        only.write_text(text)
        with pytest.raises(ConfigError) as caught:
            own(only)
        assert caught.value.code == "certificate_unusable"
