"""Two long texts side by side: what is shown of them is where they differ."""

from hypothesis import given
from hypothesis import strategies as st

from portal.lib.typed_text import excerpts


def test_it_shows_where_they_begin_to_differ() -> None:
    for before, after, shown in (
        ("Lamp", "Desk lamp", ("Lamp", "Desk lamp")),
        ("", "x" * 50, ("", "x" * 30 + "…")),
        ("a" * 30, "b" * 32, ("a" * 30, "b" * 32)),
        ("a" * 30, "b" * 33, ("a" * 30, "b" * 30 + "…")),
        (
            "a long note that ends in one word: black",
            "a long note that ends in one word: white, and goes on",
            ("… word: black", "… word: white, and goes on"),
        ),
        (
            "x" * 40 + "1" + "y" * 40,
            "x" * 40 + "2",
            ("…" + "x" * 7 + "1" + "y" * 22 + "…", "…" + "x" * 7 + "2"),
        ),
    ):
        assert excerpts(before, after, longest=30) == shown, before


@given(st.text("ab \n", max_size=90), st.text("ab \n", max_size=90), st.text("ab", max_size=400))
def test_different_texts_look_different_and_no_side_is_too_long(
    before: str, after: str, same: str
) -> None:
    shown = excerpts(same + before, same + after, longest=60)
    assert max(map(len, shown)) <= 62
    assert (shown[0] == shown[1]) == (before == after)
    assert excerpts(*shown, longest=60) == shown
