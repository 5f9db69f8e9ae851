"""The limits of accepted passwords."""

import pytest

from portal.services.core.refusals import Refusal
from portal.services.people import passwords
from portal.services.people.invitations import NewPerson

EMAIL = "ana.maria-lopez@example.com"


def test_long_passwords_that_are_hard_to_guess_are_accepted() -> None:
    for password in (
        "abcdefghijkl",  # twelve
        "ab" * 511 + "cd",  # 1,024 bytes
        "é" * 255 + "abc" + "ü" * 255,
        "abcabcabcabc",  # three different letters
        "ana.maria-lopez!",
        "password 12345",
    ):
        passwords.check(password, EMAIL)


def test_short_too_long_and_guessable_passwords_are_refused() -> None:
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


def test_a_too_long_password_matches_nothing() -> None:
    long = "a long pass phrase " * 60
    assert not passwords.matches(long, passwords.hashed(long))
    assert not passwords.matches("a long pass phrase", "no hash at all")


def test_hashes_have_current_parameters_and_never_repeat() -> None:
    one, other = (passwords.hashed("a long pass phrase") for _ in range(2))
    assert one != other
    assert one.startswith("$argon2id$v=19$m=32768,t=3,p=1$")
    assert not passwords.is_outdated(one)
    assert passwords.is_outdated(one.replace("t=3", "t=2"))


def test_the_repr_does_not_contain_the_password() -> None:
    entered = NewPerson(name="Ana", email=EMAIL, password="a long pass phrase")
    assert "pass phrase" not in repr(entered)
