"""E-mail addresses: what may be one. Only mail can tell whether it is real."""

import pytest

from portal.lib.typed_values import is_email


@pytest.mark.parametrize("text", ["ana@example.com", "o'neil+it@pc-17", "josé@müller.example"])
def test_what_may_be_an_address_is_taken(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    ["", "ana", "@b.c", "a b@c.d", "a@b@c", "a,eve@b.c", "a;b@c.d", "<a@b.c>", '"a@b.c', "a\n@b"],
)
def test_what_would_be_none_or_two_is_not(text: str) -> None:
    assert not is_email(text)
