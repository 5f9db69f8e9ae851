"""The judges of the four chat products: refused posts, and their responses to a webhook."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
import requests

from portal.engine.events.catalogue import EventName
from portal.engine.formats.chats import CHATS, body_in
from tests.engine.formats.posts import PLACE, full
from tests.support.chats import ChatReceiver, Fault, judge

Broken = Callable[[Any], Any]
NAME: Final = "<b>*x*</b> @everyone <users/all> {{DATE(2017-02-14T06:00:00Z)}} [free](https://x)"


def broken(chat: str, change: Broken) -> bytes:
    message = json.loads(written(chat))
    change(message)
    return json.dumps(message).encode()


def written(chat: str) -> bytes:
    body = body_in(chat, full(EventName.LOST), PLACE)
    assert body is not None
    return body


def card(message: Any) -> Any:
    return message["attachments"][0]["content"]


def widgets(message: Any) -> Any:
    return message["cardsV2"][0]["card"]["sections"][0]["widgets"]


# Changes after which a product refuses the post or shows something else.
BREAKS: Final[dict[str, list[Broken]]] = {
    "slack": [
        lambda it: it.update(text=NAME),
        lambda it: it.update(mrkdwn=True, text="*x*"),
        lambda it: it["attachments"][0]["fields"][0].update(value="a & b"),
        lambda it: it["attachments"][0]["fields"][0].update(value="@channel"),
        lambda it: it["attachments"][0]["fields"][0].update(value="[free](https://x)"),
        lambda it: it["attachments"][0].update(mrkdwn_in=["fields"], fields=[_slack_field("_x_")]),
        lambda it: it["attachments"][0].update(color="danger!"),
        lambda it: it["attachments"][0].update(fallback=" "),
        lambda it: it.update(text="x" * 40_001),
        lambda it: it.update(channel="#other"),
    ],
    "teams": [
        lambda it: card(it)["body"].append({"type": "TextBlock", "text": "**x**"}),
        lambda it: card(it)["body"].append({"type": "FactSet", "facts": []}),
        lambda it: card(it)["body"][1]["inlines"][0].update(text=NAME),
        lambda it: card(it)["body"][1]["inlines"][0].update(text=""),
        lambda it: card(it)["body"][1]["inlines"][0].update(color="red"),
        lambda it: card(it).update(version="1.0"),
        lambda it: it["attachments"][0].update(contentType="application/json"),
        lambda it: card(it)["actions"][0].update(url="javascript:alert(1)"),
        lambda it: card(it)["body"][1]["inlines"][0].update(text="x" * 25_000),
    ],
    "discord": [
        lambda it: it["embeds"][0].update(description="*x*"),
        lambda it: it["embeds"][0].update(description="@everyone"),
        lambda it: it["embeds"][0].update(description="<@&1>"),
        lambda it: it["embeds"][0].update(description="[free](https://x)"),
        lambda it: it["embeds"][0].update(description="# x"),
        lambda it: it["embeds"][0].update(description="1. x"),
        lambda it: it["embeds"][0].update(title="x" * 257),
        lambda it: it["embeds"][0].update(title="\N{ROCKET}" * 129),
        lambda it: it["embeds"][0]["fields"][0].update(value=""),
        lambda it: it["embeds"][0].update(fields=26 * [{"name": "a", "value": "b"}]),
        lambda it: it["embeds"][0].update(fields=6 * [{"name": "a", "value": "b" * 1_000}]),
        lambda it: it["allowed_mentions"].update(parse=["everyone"]),
        lambda it: it.pop("allowed_mentions"),
    ],
    "google_chat": [
        lambda it: it.update(text="<users/all>"),
        lambda it: it.update(fallbackText="<users/all>"),
        lambda it: it.update(fallbackText="Something else"),
        lambda it: it["cardsV2"][0]["card"]["header"].update(subtitle="<b>x</b>"),
        lambda it: widgets(it).clear(),
        lambda it: widgets(it).append({"decoratedText": {"text": "x", "topLabel": "a & b"}}),
        lambda it: widgets(it).append({"decoratedText": {"topLabel": "a"}}),
        lambda it: widgets(it).append({"textParagraph": {"text": "x" * 32_000}}),
    ],
}


def _slack_field(value: str) -> dict[str, str]:
    return {"title": "a", "value": value}


@pytest.mark.parametrize("chat", CHATS)
def test_a_judge_refuses_undocumented_posts(chat: str) -> None:
    judge(chat, written(chat))
    bodies = [broken(chat, change) for change in BREAKS[chat]]
    for body in (*bodies, b"{", b"[]", b"{}", b"\xff", full(EventName.LOST)):
        with pytest.raises(Fault):
            pytest.fail(f"{judge(chat, body)} was taken")


def test_a_judge_shows_unescaped_html_without_its_tags() -> None:
    body = broken("google_chat", lambda it: widgets(it)[1]["decoratedText"].update(text="<b>x</b>"))
    assert judge("google_chat", body).facts[0] == ("What happened", "x")


def answer_of(receiver: ChatReceiver, body: bytes, path: str = "") -> requests.Response:
    kind = {"Content-Type": "application/json"}
    return requests.post(receiver.url + path, body, headers=kind, timeout=5)


@pytest.mark.parametrize(
    ("chat", "taken", "refused"),
    [
        ("slack", (200, "ok"), (400, "invalid_payload")),
        ("teams", (202, ""), (400, "InvalidRequestContent")),
        ("discord", (204, ""), (400, "50006")),
        ("google_chat", (200, "spaces/"), (400, "INVALID_ARGUMENT")),
    ],
)
def test_a_chat_receiver_answers_like_the_product(
    chat: str, taken: tuple[int, str], refused: tuple[int, str]
) -> None:
    with ChatReceiver(chat) as receiver:
        for body, (status, words) in ((written(chat), taken), (b"{}", refused)):
            answer = answer_of(receiver, body)
            assert (answer.status_code, words in answer.text) == (status, True)
        assert [post.headline for post in receiver.seen] == ["Asset lost: AST-00123 ThinkPad T14"]
        assert len(receiver.received) == 2


def test_discord_answers_with_the_message_for_wait_true() -> None:
    with ChatReceiver("discord") as receiver:
        assert answer_of(receiver, written("discord"), "?wait=true").status_code == 200


def test_teams_counts_its_envelope_around_a_card() -> None:
    with ChatReceiver("teams") as receiver:
        assert answer_of(receiver, b" " * 24_453).status_code == 413


@pytest.mark.parametrize("chat", CHATS)
def test_the_second_post_within_a_second_is_refused(chat: str) -> None:
    with ChatReceiver(chat, pace=1.0) as receiver:
        answer_of(receiver, written(chat))
        answer = answer_of(receiver, written(chat))
    assert answer.status_code == 429
    assert ("Retry-After" in answer.headers) is (chat in {"slack", "discord"})
    assert chat != "discord" or answer.json()["retry_after"] == 1.0
    assert chat != "google_chat" or answer.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert len(receiver.seen) == 1
