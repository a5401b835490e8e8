"""Pairing codes: used once, for ten minutes, by whoever holds them, and by nobody who guesses."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.errors import InputError
from agentbox.pairing.codes import (
    LETTERS,
    LIFE_S,
    LOCK_S,
    MOST_ADDRESSES,
    MOST_OPEN,
    MOST_WRONG,
    SHORT_LENGTH,
    WINDOW_S,
    WRONG_BY_ADDRESS,
    Codes,
)

PHONE, OTHER = "192.168.1.20", "192.168.1.66"


def refused(codes: Codes, code: str, address: str = PHONE, now_s: float = 0.0) -> str:
    with pytest.raises(InputError) as caught:
        codes.redeem(code, address, now_s)
    assert code not in str(caught.value)
    return caught.value.code


def wrong(number: int) -> str:
    digits = ""
    for _ in range(SHORT_LENGTH):
        number, rest = divmod(number, len(LETTERS))
        digits += LETTERS[rest]
    return digits


@pytest.mark.parametrize("kind", ["long", "short"])
def test_a_code_lets_one_in_and_then_nobody(kind: str) -> None:
    codes = Codes()
    offer = codes.offer("guest", 0.0)
    assert codes.redeem(getattr(offer, kind), PHONE, 1.0) == "guest"
    assert refused(codes, offer.long) == "pairing_code_wrong"
    assert refused(codes, offer.short) == "pairing_code_wrong"


def test_a_code_ends_after_ten_minutes() -> None:
    codes = Codes()
    offer = codes.offer("owner", 100.0)
    assert codes.open_count(100.0 + LIFE_S - 1) == 1
    assert codes.open_count(100.0 + LIFE_S) == 0
    assert refused(codes, offer.long, now_s=100.0 + LIFE_S) == "pairing_code_wrong"


def test_the_oldest_offer_ends_where_too_many_would_be_open() -> None:
    codes = Codes()
    offers = [codes.offer("owner", float(number)) for number in range(MOST_OPEN + 1)]
    assert codes.open_count(10.0) == MOST_OPEN
    assert refused(codes, offers[0].long, now_s=10.0) == "pairing_code_wrong"
    for offer in offers[1:]:
        codes.redeem(offer.short, PHONE, 10.0)


def test_a_short_code_is_read_however_fingers_write_it() -> None:
    codes = Codes()
    offer = codes.offer("owner", 0.0)
    assert set(offer.short) <= {*LETTERS, "-"}
    codes.redeem(f" {offer.short.replace('-', ' ').lower()}\n", PHONE, 1.0)


def test_who_guesses_is_locked_out_for_longer_each_time() -> None:
    codes = Codes()
    now_s = 0.0
    for lock_s in (LOCK_S, 2 * LOCK_S, 4 * LOCK_S):
        for number in range(WRONG_BY_ADDRESS):
            assert refused(codes, wrong(number), now_s=now_s) == "pairing_code_wrong"
        newer = codes.offer("owner", now_s + lock_s - 1)
        assert refused(codes, newer.short, now_s=now_s + lock_s - 1) == "pairing_locked"
        now_s += lock_s
    codes.redeem(codes.offer("owner", now_s).short, OTHER, now_s)


def test_a_locked_phone_may_still_scan() -> None:
    codes = Codes()
    for number in range(WRONG_BY_ADDRESS):
        refused(codes, wrong(number))
    assert refused(codes, codes.offer("owner", 0.0).short) == "pairing_locked"
    assert codes.redeem(codes.offer("owner", 0.0).long, PHONE, 0.0) == "owner"


def test_guesses_from_many_addresses_get_nowhere_and_the_owner_still_pairs() -> None:
    """10,000 guesses, each from an address of its own."""
    codes = Codes()
    offer = codes.offer("owner", 0.0)
    answers = [
        refused(codes, wrong(number), f"10.{number >> 8}.{number & 255}.1", number / 100) for number in range(10_000)
    ]
    assert answers.count("pairing_code_wrong") == MOST_WRONG
    assert codes.redeem(offer.long, PHONE, 101.0) == "owner"
    later = codes.offer("owner", WINDOW_S + 101.0)
    assert codes.redeem(later.short, PHONE, WINDOW_S + 101.0) == "owner"


def test_an_ipv6_network_is_one_guesser() -> None:
    codes = Codes()
    for number in range(WRONG_BY_ADDRESS):
        refused(codes, wrong(number), f"fd00:1:2:3::{number:x}")
    assert refused(codes, wrong(99), "fd00:1:2:3:ffff::1") == "pairing_locked"
    assert refused(codes, wrong(99), "fd00:1:2:4::1") == "pairing_code_wrong"
    assert refused(codes, wrong(99), "::ffff:192.168.1.20") == "pairing_code_wrong"


def test_many_addresses_take_no_memory() -> None:
    codes = Codes()
    for number in range(3 * MOST_ADDRESSES):
        refused(codes, secrets.token_urlsafe(24), f"10.{number >> 8}.{number & 255}.1")
    assert len(codes._guessers) <= MOST_ADDRESSES


@given(st.text(max_size=80), st.text(max_size=60))
def test_whatever_is_typed_gets_an_answer(code: str, address: str) -> None:
    codes = Codes()
    codes.offer("owner", 0.0)
    with pytest.raises(InputError):
        codes.redeem(code, address, 1.0)


def test_no_two_offers_are_alike_and_no_letter_is_mistaken() -> None:
    codes = Codes()
    offers = [codes.offer("owner", 0.0) for _ in range(500)]
    assert len({offer.long for offer in offers} | {offer.short for offer in offers}) == 1000
    assert not set("01OILU") & set(LETTERS)
    assert {letter for offer in offers for letter in offer.short} == {*LETTERS, "-"}
