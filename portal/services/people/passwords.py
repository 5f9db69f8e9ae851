"""Check and hash passwords (Argon2id). Hashing is slow, so never do it in a transaction."""

import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from portal.services.core.refusals import Refusal

SHORTEST: Final = 12  # characters
LONGEST: Final = 1024  # bytes of UTF-8

# OWASP's Password Storage Cheat Sheet asks for at least 19 MiB, 2 passes, and 1 lane. All web
# threads can hash at once, so memory is the limit.
HASHER: Final = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)
# A hash of discarded random bytes. It is a constant, because making one would slow down a new
# process's first attempt for an unknown account, and so reveal it.
NOBODYS_HASH: Final = (
    "$argon2id$v=19$m=32768,t=3,p=1$h1hHjai5zO6uqgQDV/qpJA"
    "$hE9XoR7qpv0kYKwulrJ3PRkUeILjwrK6K0e9nVCsRvo"
)

# The most guessed passwords that are long enough. More rules make people write passwords down.
GUESSED_FIRST: Final = """
123456789012 1234567890123 12345678901234 123456789123 123123123123 1234567891011 121212121212
111111111111 000000000000 987654321098 qwertyuiopas qwertyuiop12 qwertyuiop123 qwerty123456
1q2w3e4r5t6y 1qaz2wsx3edc zaq12wsxcde3 asdfghjkl123 password1234 password12345 password123!
passwordpassword password123456 mypassword123 iloveyou1234 letmein12345 welcome12345
administrator administrator1 admin1234567 changeme1234 adminadmin12 adminadminadmin
unbelievable correcthorsebatterystaple
"""
COMMON: Final = frozenset(GUESSED_FIRST.split())


def check(password: str, email: str) -> None:
    """Refuse a password that is too short, too long, or easily guessed. No other rules apply."""
    if len(password) < SHORTEST:
        raise _refusal(f"Enter at least {SHORTEST} characters")
    if _is_too_long(password):
        raise _refusal("Enter at most 1,000 characters")
    plain = password.casefold().strip()
    if plain in COMMON or len(set(plain)) < 3:
        raise _refusal("Enter a password that’s harder to guess")
    if plain in {email.casefold(), email.casefold().partition("@")[0]}:
        raise _refusal("Enter a password other than your email address")


def hashed(password: str) -> str:
    """Return the Argon2id hash with its parameters and salt. Takes tens of milliseconds."""
    return HASHER.hash(_normal(password))


def matches(password: str, stored: str | None) -> bool:
    """Return whether the password matches the `stored` hash.

    Without a stored hash, the work is the same, so that timing doesn't reveal whether there is such
    an account.
    """
    typed = "" if _is_too_long(password) else _normal(password)
    try:
        HASHER.verify(stored or NOBODYS_HASH, typed)
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Return whether the hash was made with other parameters than the current ones."""
    return HASHER.check_needs_rehash(stored)


def _refusal(sentence: str) -> Refusal:
    return Refusal(sentence, field="password")


def _is_too_long(password: str) -> bool:
    return len(password.encode(errors="replace")) > LONGEST


def _normal(password: str) -> str:
    """Normalize a password, to be equal from every keyboard (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
