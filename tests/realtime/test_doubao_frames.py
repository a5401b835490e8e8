"""The binary frames of Volcengine: the byte arrays of its page, round trips, and frames that are none."""

from __future__ import annotations

import gzip
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.realtime.doubao_frames import MAX_PAYLOAD_BYTES, Packet, Sort, pack, unpack

SESSION = "75a6126e-427f-49a1-a2c1-621143cb9db3"

# Printed in the vendor's page 6561/1594356 (read in two copies of it, December 2025 and April 2026). The first two are
# also what an independent client makes of the same events: test_sdk_doubao.py.
START_CONNECTION = [17, 20, 16, 0, 0, 0, 0, 1, 0, 0, 0, 2, 123, 125]
START_SESSION_HEAD = [17, 20, 16, 0, 0, 0, 0, 100, 0, 0, 0, 36, 55, 53, 97, 54]
START_SESSION_SIZE = [51, 0, 0, 0, 60, 123, 34, 100]
SESSION_PAYLOAD = {"dialog": {"bot_name": "豆包", "dialog_id": "", "extra": None}}
SOUND_SESSION = "3c791a7d-227a-4446-993b-24f9e302cc98"
SOUND_HEAD = [17, 180, 0, 0, 0, 0, 1, 96, 0, 0, 0, 36]
SOUND_SIZE = [0, 0, 7, 252]


def test_the_arrays_of_the_vendors_page() -> None:
    assert list(pack(Packet(Sort.CLIENT, b"{}", 1))) == START_CONNECTION
    payload = json.dumps(SESSION_PAYLOAD, ensure_ascii=False, separators=(",", ":")).encode()
    frame = list(pack(Packet(Sort.CLIENT, payload, 100, SESSION)))
    assert frame[:16] == START_SESSION_HEAD
    assert frame[47:55] == START_SESSION_SIZE
    assert bytes(frame[52:]) == payload
    # The page leaves out most of this one's sound.
    sound = b"OggS".ljust(0x7FC, b"\0")
    told = bytes(SOUND_HEAD) + SOUND_SESSION.encode() + bytes(SOUND_SIZE) + sound
    assert unpack(told) == Packet(Sort.SERVER_SOUND, sound, 352, SOUND_SESSION, is_json=False)


def test_the_head_of_a_recognition() -> None:
    """As the page 6561/1354869 has it: no sequence, JSON, gzip."""
    frame = pack(Packet(Sort.CLIENT, b"{}", is_gzip=True))
    assert list(frame[:4]) == [0x11, 0x10, 0x11, 0x00]
    assert gzip.decompress(frame[8:]) == b"{}"
    assert struct.unpack(">I", frame[4:8])[0] == len(frame) - 8
    last = pack(Packet(Sort.CLIENT_SOUND, b"", sequence=-3, is_last=True))
    assert list(last) == [0x11, 0x23, 0x10, 0, 255, 255, 255, 253, 0, 0, 0, 0]


@pytest.mark.parametrize("name", ["", "d1dcd999-9a9e-4ed6-b227-8649e946f6c4"])
@pytest.mark.parametrize("payload", [b"{}", b""])
def test_the_servers_frames_about_a_connection_carry_its_id_or_not(name: str, payload: bytes) -> None:
    bare = bytes([0x11, 0x94, 0x10, 0]) + struct.pack(">i", 50)
    sized = struct.pack(">I", len(payload)) + payload
    named = bare + struct.pack(">I", len(name)) + name.encode() + sized
    assert unpack(bare + sized) == Packet(Sort.SERVER, payload, 50)
    assert unpack(named) == Packet(Sort.SERVER, payload, 50, name)


@pytest.mark.parametrize("flags", [0b0000, 0b0001, 0b0100, 0b1111])
def test_an_error_is_read_whatever_its_flags_announce(flags: int) -> None:
    frame = bytes([0x11, 0xF0 | flags, 0x10, 0]) + struct.pack(">II", 45000081, 13) + b'{"error":"x"}'
    packet = unpack(frame)
    assert packet is not None
    assert (packet.sort, packet.code, packet.payload) == (Sort.ERROR, 45000081, b'{"error":"x"}')


def packets() -> st.SearchStrategy[Packet]:
    return st.builds(
        Packet,
        sort=st.sampled_from(Sort),
        payload=st.binary(max_size=2_000),
        event=st.none() | st.integers(-(2**31), 2**31 - 1) | st.sampled_from([1, 2, 50, 51, 52, 100, 352, 599]),
        id=st.text(max_size=40),
        sequence=st.none() | st.integers(-(2**31), 2**31 - 1),
        is_last=st.booleans(),
        code=st.integers(0, 2**32 - 1),
        is_json=st.booleans(),
        is_gzip=st.booleans(),
    )


@given(packets())
def test_a_packet_comes_back_as_it_was_sent(packet: Packet) -> None:
    told = unpack(pack(packet))
    assert told is not None
    # An id stands only beside an event, a code only in an error.
    expected = Packet(
        packet.sort,
        packet.payload,
        packet.event,
        packet.id if packet.event is not None else "",
        packet.sequence,
        packet.is_last,
        packet.code if packet.sort is Sort.ERROR else 0,
        packet.is_json,
        packet.is_gzip,
    )
    assert told == expected


@given(packets(), st.data())
def test_a_frame_cut_short_or_with_more_behind_it_is_none(packet: Packet, data: st.DataObject) -> None:
    frame = pack(packet)
    cut = data.draw(st.integers(0, len(frame) - 1))
    # Cut right behind its id, a frame about the connection is a whole one without an id.
    is_named = packet.event in (1, 2, 50, 51, 52) and packet.id
    if packet.sort is not Sort.ERROR and not is_named:
        assert unpack(frame[:cut]) is None
    if packet.sort is not Sort.ERROR and packet.event not in (350, 351):
        assert unpack(frame + b"\0") is None
    unpack(frame[:cut])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_none(frame: bytes) -> None:
    unpack(frame)
    unpack(bytes([0x11]) + frame)


def test_a_sentence_whose_size_counts_characters_is_read_whole() -> None:
    payload = '{"text": "今天是"}'.encode()
    frame = pack(Packet(Sort.SERVER, payload, 350, SESSION))
    at = frame.index(payload)
    short = frame[: at - 4] + struct.pack(">I", len(payload.decode())) + payload
    assert unpack(short) == Packet(Sort.SERVER, payload, 350, SESSION)


def gzipped(payload: bytes) -> bytes:
    return bytes([0x11, 0x90, 0x11, 0]) + struct.pack(">I", len(payload)) + payload


def test_what_unpacks_to_more_than_the_bound_is_none() -> None:
    assert unpack(gzipped(gzip.compress(bytes(MAX_PAYLOAD_BYTES + 1)))) is None
    fits = unpack(gzipped(gzip.compress(bytes(MAX_PAYLOAD_BYTES))))
    assert fits is not None
    assert len(fits.payload) == MAX_PAYLOAD_BYTES


def test_what_is_no_whole_gzip_is_none() -> None:
    whole = gzip.compress(b"{}")
    for payload in (b"{}", whole[:-1], whole[:-8] + bytes(8), whole + b"\0", whole + whole):
        assert unpack(gzipped(payload)) is None


@pytest.mark.parametrize(
    "head",
    [
        [0x21, 0x90, 0x10, 0],  # another version
        [0x10, 0x90, 0x10, 0],  # no header
        [0x11, 0x90, 0x10, 1],  # something reserved
        [0x11, 0x30, 0x10, 0],  # no such sort
        [0x11, 0x90, 0x30, 0],  # Thrift
        [0x11, 0x90, 0x12, 0],  # another compression
        [0x11, 0x94, 0x10, 0],  # an event announced, and none there
    ],
)
def test_frames_of_another_kind_are_none(head: list[int]) -> None:
    assert unpack(bytes(head) + struct.pack(">I", 2) + b"{}") is None


def test_a_longer_header_is_skipped() -> None:
    frame = bytes([0x12, 0x90, 0x10, 0, 1, 2, 3, 4]) + struct.pack(">I", 2) + b"{}"
    assert unpack(frame) == Packet(Sort.SERVER, b"{}")


def test_an_id_that_is_no_text_is_none() -> None:
    frame = bytes([0x11, 0x94, 0x10, 0]) + struct.pack(">iI", 150, 2) + b"\xff\xfe" + struct.pack(">I", 0)
    assert unpack(frame) is None
