"""Ids, addresses and words that are read from a pasted text."""

from uuid import UUID

from portal.lib.ids import ids_beginning
from portal.services.find import read

ONE = UUID("019ab3c4-d5e6-7f01-8234-56789abcdef0")
OTHER = UUID("019ab3c4-d5e6-7f01-8234-56789abcdef1")


def test_ids_are_read_anywhere_in_a_text() -> None:
    for text, ids in (
        (str(ONE), (ONE,)),
        (f"<{str(ONE).upper()}>", (ONE,)),
        (ONE.hex, (ONE,)),
        (f"webhook-id: {ONE}\nwebhook-timestamp: 1764162000", (ONE,)),
        (f"/deliveries/{ONE}?back=/assets&x={OTHER}", (ONE, OTHER)),
        (f"{ONE},{OTHER},{ONE}", (ONE, OTHER)),
        (f"msg_{ONE}.json", (ONE,)),
        # Longer runs of digits are no ids, but for example hashes or traces.
        (f"{ONE.hex}0", ()),
        (f"a{ONE}", ()),
        ("sha256=" + "ab" * 32, ()),
        (str(ONE)[:-1], ()),
    ):
        assert read(text).ids == ids, text


def test_eight_or_more_digits_can_be_the_start_of_an_id() -> None:
    for text, beginnings in (
        ("019ab3c4", ("019ab3c4",)),
        ("id=019ab3c4 failed", ("019ab3c4",)),
        (str(ONE)[:-1], (str(ONE)[:-1],)),
        ("019ab3c4-d5e6, 019AB3C5", ("019ab3c4-d5e6", "019AB3C5")),
        ("019ab3c", ()),
        ("019ab3c4d5-e6", ()),
        ("-019ab3c4", ()),
        ("x019ab3c4", ()),
        ("--------", ()),
        (str(ONE), ()),
    ):
        assert read(text).beginnings == beginnings, text


def test_ids_with_the_same_start_lie_between_the_first_and_the_last() -> None:
    for length in range(8, 36):
        first, last = ids_beginning(str(ONE)[:length]) or (OTHER, OTHER)
        assert first <= ONE <= last, length
        assert str(first)[:length] == str(last)[:length] == str(ONE)[:length]
    assert ids_beginning(ONE.hex.upper()[:20]) == ids_beginning(ONE.hex[:20])
    for text in ("019ab3c", "019ab3cg", "", "019ab3c4-d5e-6", "0" * 33, "019ab3c4 d5e6"):
        assert ids_beginning(text) is None


def test_asset_ids_are_read_from_addresses_of_the_portal() -> None:
    assert read("https://portal.example.com/assets/42/timeline /assets/7").asset_ids == (42, 7)
    assert read("/assets/9999999999 /assets/x 42").asset_ids == ()


def test_words_are_split_at_blanks_and_punctuation() -> None:
    line = '2026-11-25 ERROR {"asset_tag":"LAP-0042","serial":\'SN.1/2\'}: broken (LMP-7).'
    assert {"LAP-0042", "SN.1/2", "LMP-7"} <= set(read(line).words)
    assert read("LAP-0042").words == ()
