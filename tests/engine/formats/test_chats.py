"""Chat posts of every event, judged by each product's documented rules."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.engine.events.body import encode
from portal.engine.events.catalogue import CATALOGUE, EventName
from portal.engine.events.samples import sample_body
from portal.engine.formats.chats import CHATS, body_in, format_of
from portal.engine.formats.post import _EVENTS, MOST_FACTS, Post, Severity, post_of
from tests.engine.formats.posts import HOSTILE, PLACE, full, hostile, minimal, with_texts
from tests.support.chats import Fault, Seen, judge
from tests.support.golden.expected_file import Golden

GOLDEN = Path(__file__).parent
LONGEST_NAME = "\N{ROCKET}" * 120


def shown(chat: str, body: bytes) -> Seen:
    """Return the post as read in the channel. Fails if the product would refuse it."""
    written = body_in(chat, body, PLACE)
    assert written is not None
    assert format_of(written.decode()) == chat
    assert len(written) <= 20_000  # Teams takes 28 KB, including its envelope around a card
    try:
        return judge(chat, written)
    except Fault as fault:
        raise AssertionError(f"{chat}: {fault}\n{body!r}\n{written!r}") from fault


def as_meant(post: Post) -> Seen:
    return Seen(post.headline, [tuple(fact) for fact in post.facts], post.link)


@pytest.mark.parametrize("chat", CHATS)
def test_every_post_matches_its_golden_file(chat: str, golden: Golden) -> None:
    posts = {str(event): body_in(chat, full(event), PLACE) for event in EventName}
    posts["minimal"] = body_in(chat, minimal(EventName.LOST), PLACE)
    posts["hostile"] = body_in(chat, hostile(EventName.LOST, " ".join(HOSTILE)[:240]), PLACE)
    rows = {case: body.decode() for case, body in posts.items() if body}
    golden.said(GOLDEN / f"golden_{chat}.txt", rows)


@pytest.mark.parametrize("chat", CHATS)
def test_a_channel_shows_every_event_as_intended(chat: str) -> None:
    for event in EventName:
        texts = [hostile(event, text) for text in HOSTILE]
        for body in (full(event), minimal(event), *texts):
            assert shown(chat, body) == as_meant(post_of(body, PLACE)), event


def test_a_strangers_text_is_shown_literally() -> None:
    for event in EventName:
        known = post_of(full(event), PLACE)
        for typed, read in HOSTILE.items():
            post = post_of(hostile(event, typed), PLACE)
            assert post.headline == f"{known.title}: {read} {read}"
            for fact in post.facts:
                assert fact in known.facts or fact.value in {read, f"{read} (was {read})"}, event
            assert any(read in fact.value for fact in post.facts) or "alert." in event


def test_missing_facts_are_left_out() -> None:
    for event in EventName:
        assert set(post_of(minimal(event), PLACE).facts) <= set(post_of(full(event), PLACE).facts)
    lost = dict(post_of(minimal(EventName.LOST), PLACE).facts)
    assert list(lost) == ["What happened", "Under warranty", "By", "When"]


def test_long_texts_are_shortened_for_every_chat() -> None:
    for sign in ("@", "*", "&", '"', "\\", "](", "{{", "<users/", "\N{ROCKET}"):
        for event in EventName:
            body = hostile(event, sign * 5_000)
            for chat in CHATS:
                seen = shown(chat, body)
                assert seen == as_meant(post_of(body, PLACE))
                assert seen.headline.endswith("…")


@pytest.mark.parametrize("chat", CHATS)
def test_a_name_of_120_emoji_is_shown_whole(chat: str) -> None:
    for event in EventName:
        assert LONGEST_NAME in shown(chat, hostile(event, LONGEST_NAME)).headline


def test_an_event_has_a_title_a_severity_and_room_for_its_facts() -> None:
    assert set(_EVENTS) == set(EventName)
    for event in CATALOGUE:
        post = post_of(full(event.value), PLACE)
        assert post.title == event.name
        assert len(_EVENTS[event.value].facts) <= MOST_FACTS - 3  # note, by, when


def test_times_are_in_the_portals_zone_and_amounts_in_their_currency() -> None:
    facts = dict(post_of(full(EventName.CHECKED_OUT), PLACE).facts)
    assert facts["Due back"] == "Feb 7, 17:00"
    assert facts["When"] == "Feb 4, 13:00 (Europe/Vienna)"
    assert dict(post_of(full(EventName.CREATED), PLACE).facts)["Purchase cost"] == "EUR 1,249.00"
    assert dict(post_of(full(EventName.LIQUIDATED), PLACE).facts)["Disposal method"] == "Sold"


def facts_of(event: EventName, **data: Any) -> dict[str, str]:
    body = json.loads(full(event))
    body["data"] |= data
    return dict(post_of(json.dumps(body).encode(), PLACE).facts)


def test_unreadable_values_are_shown_verbatim_or_left_out() -> None:
    for unread in ("2025-02-07T16:00:00", "9999-12-31T23:59:00-05:00", "soon"):
        assert facts_of(EventName.CHECKED_OUT, due_at=unread)["Due back"] == unread
    assert facts_of(EventName.MAINTENANCE_DUE, due_on="soon")["Due on"] == "soon"
    assert facts_of(EventName.LIQUIDATED, proceeds="1E+99999")["Proceeds"] == "1E+99999"
    assert facts_of(EventName.LIQUIDATED, method="eaten")["Disposal method"] == "eaten"
    assert "Holder" not in facts_of(EventName.CHECKED_OUT, staff=["Maria"])
    assert list(facts_of(EventName.UPDATED, changes={"name": 3})) == ["By", "When"]
    assert post_of(b"{", PLACE) == Post("Event", "", (), Severity.INFO, None)


def test_a_change_shows_the_value_before() -> None:
    facts = facts_of(
        EventName.UPDATED,
        reason="found",
        changes={
            "status": {"from": "lost", "to": "available"},
            "location": {"from": {"id": 3, "name": "Store"}, "to": None},
            "reservable": {"from": False, "to": True},
            "made_up": {"from": 1, "to": 2},
        },
    )
    assert list(facts.items())[:4] == [
        ("Change", "Found"),
        ("Status", "Available (was Lost)"),
        ("Location", "None (was Store)"),
        ("Allow reservations", "Yes (was No)"),
    ]


def test_changes_beyond_the_limit_are_counted() -> None:
    names = ("name", "model", "unit", "supplier", "notes", "manufacturer", "serial_number")
    facts = facts_of(
        EventName.UPDATED,
        changes={name: {"from": None, "to": "new"} for name in names},
        note="Sorted",
    )
    assert len(facts) == MOST_FACTS
    assert facts["Other changes"] == "3"


def test_a_test_post_is_labeled_and_has_no_link() -> None:
    post = post_of(sample_body(EventName.LOST, test=True), PLACE)
    assert (post.title, post.link) == ("Test: Asset lost", None)


def test_a_post_links_to_the_asset_if_the_portal_has_a_base_url() -> None:
    assert post_of(full(EventName.LOST), PLACE).link == "https://assets.example.com/assets/123"
    assert post_of(full(EventName.DELETED), PLACE).link == "https://assets.example.com/assets/123"
    assert post_of(full(EventName.LOST), PLACE._replace(base_url=None)).link is None


def test_without_a_known_format_the_body_is_sent_unchanged() -> None:
    assert body_in(None, full(EventName.LOST), PLACE) is None
    assert body_in("carrier_pigeon", full(EventName.LOST), PLACE) is None


@given(st.sampled_from(EventName), st.data())
def test_every_chat_accepts_any_text(event: EventName, data: st.DataObject) -> None:
    body = encode(json.loads(with_texts(event, lambda: data.draw(st.text(max_size=400)))))
    for chat in CHATS:
        assert shown(chat, body) == as_meant(post_of(body, PLACE))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(st.sampled_from(EventName), st.data())
def test_every_chat_accepts_any_body(event: EventName, data: st.DataObject) -> None:
    """Cover bodies of later versions."""
    body = json.loads(full(event))
    place, *others = data.draw(st.permutations(["asset", "data"]))
    part = body[data.draw(st.sampled_from([place, *others]))]
    for name in data.draw(st.lists(st.sampled_from(list(part)), max_size=6)):
        part[name] = data.draw(VALUES)
    for whole in (body, data.draw(VALUES)):
        stored = json.dumps(whole).encode()
        for chat in CHATS:
            assert shown(chat, stored) == as_meant(post_of(stored, PLACE))
