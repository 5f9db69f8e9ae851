"""What is left of a text once what nobody can see is gone."""

import re

from hypothesis import given
from hypothesis import strategies as st

from portal.lib.typed_text import tidy


def test_what_nobody_can_see_is_not_kept() -> None:
    for typed, meant in (
        ("  Projector\t\r\n", "Projector"),
        ("\ufeffPF4X9Z2K", "PF4X9Z2K"),
        ("\u200e\u202aPF4X9Z2K\u202c", "PF4X9Z2K"),
        ("https://erp.example.com/hook\u200b", "https://erp.example.com/hook"),
        ("note\u00adbook", "notebook"),
        ("Ana\u202erebu\u202crG", "AnareburG"),
        ("nothing\0 here", "nothing here"),
        ("half a \ud83d pair", "half a  pair"),
        ("\u200b \u2060\u200d\u3164\u00a0", ""),
        ("नमस्\u200dते", "नमस्\u200dते"),
        ("team 👩\u200d💻", "team 👩\u200d💻"),
        ("two  spaces\nand a line", "two  spaces\nand a line"),
        ("lines of\r\nWindows\rand old\r\u200b\nMacs", "lines of\nWindows\nand old\nMacs"),
        ("\r\r\n.", "."),
        (".\r\r\n.", ".\n\n."),
    ):
        assert tidy(typed) == meant, typed
        assert tidy(meant) == meant, typed


BLANK = r"[\s\u200c\u200d\u2800\u3164\uffa0]+"


@given(
    st.text(
        st.sampled_from("a\t\n\x1c\x85\u00a0\u200c\u200d\u2800\u3000\u3164\uffa0") | st.characters()
    )
)
def test_every_blank_at_either_end_is_taken_away(text: str) -> None:
    whole = tidy(f"a{text}a")[1:-1]
    assert tidy(text) == re.sub(rf"\A{BLANK}|{BLANK}\Z", "", whole)
