"""Email addresses: what may be one. Only mail can tell whether it is real."""

from portal.lib.typed_values import is_email


def test_what_may_be_an_address_is_taken() -> None:
    for text in ("ana@example.com", "o'neil+it@pc-17", "josé@müller.example"):
        assert is_email(text), text


def test_what_would_be_none_or_two_is_not() -> None:
    for text in (
        "",
        "ana",
        "@b.c",
        "a b@c.d",
        "a@b@c",
        "a,eve@b.c",
        "a;b@c.d",
        "<a@b.c>",
        '"a@b.c',
        "a\n@b",
    ):
        assert not is_email(text), text
