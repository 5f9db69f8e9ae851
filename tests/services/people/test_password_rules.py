"""Which passwords we take, at the edges of what we ask for."""

import pytest

from portal.services.core.refusals import Refusal
from portal.services.people import passwords
from portal.services.people.invitations import NewPerson

EMAIL = "ana.maria-lopez@example.com"


def test_it_takes_what_is_long_enough_and_not_guessed_at_once() -> None:
    for password in (
        "abcdefghijkl",  # twelve
        "ab" * 511 + "cd",  # 1,024 bytes
        "é" * 255 + "abc" + "ü" * 255,
        "abcabcabcabc",  # three different letters
        "ana.maria-lopez!",
        "password 12345",
    ):
        passwords.check(password, EMAIL)


def test_it_refuses_what_is_short_long_or_guessed_at_once() -> None:
    for password, sentence in (
        ("abcdefghijk", "Enter at least 12 characters"),
        ("ab" * 511 + "cde", "at most 1,000 characters"),
        ("é" * 513, "at most 1,000 characters"),
        ("abababababab", "harder to guess"),
        (" PassWord12345 ", "harder to guess"),
        ("correctHorseBatteryStaple", "harder to guess"),
        ("Ana.Maria-Lopez@Example.COM", "other than your email address"),
        (" ANA.maria-lopez ", "other than your email address"),
    ):
        with pytest.raises(Refusal, match=sentence) as refused:
            passwords.check(password, EMAIL)
        assert refused.value.field == "password", password


def test_one_too_long_is_compared_with_nothing() -> None:
    long = "a long pass phrase " * 60
    assert not passwords.matches(long, passwords.hashed(long))
    assert not passwords.matches("a long pass phrase", "no hash at all")


def test_a_hash_is_made_as_we_make_them_now_and_never_twice_the_same() -> None:
    one, other = (passwords.hashed("a long pass phrase") for _ in range(2))
    assert one != other
    assert one.startswith("$argon2id$v=19$m=32768,t=3,p=1$")
    assert not passwords.is_outdated(one)
    assert passwords.is_outdated(one.replace("t=3", "t=2"))


def test_no_trace_of_an_error_says_it() -> None:
    entered = NewPerson(name="Ana", email=EMAIL, password="a long pass phrase")
    assert "pass phrase" not in repr(entered)
