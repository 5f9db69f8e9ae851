"""Explanations of failures: the cause, the next step, and a sentence from the response."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from portal.engine.answer_words import (
    LONGEST_PAGE,
    MOST_READ,
    line_with,
    sentence_in,
    speaks_of_error,
    text_of_page,
)
from portal.engine.next_steps import ASK, step_after
from portal.engine.reasons import (
    Reason,
    ReasonGroup,
    Side,
    alike,
    explain,
    reason_for_code,
    reasons_in,
    title,
)
from portal.services.core.permissions import EVERYONE, PERMISSIONS
from tests.support.golden.expected_file import Golden

CODES = [
    (200, None),
    (204, None),
    (299, None),
    (300, Reason.REDIRECT),
    (302, Reason.REDIRECT),
    (304, Reason.REDIRECT),
    (400, Reason.BAD_REQUEST),
    (401, Reason.AUTH),
    (402, Reason.OTHER_4XX),
    (403, Reason.FORBIDDEN),
    (404, Reason.NOT_FOUND),
    (405, Reason.METHOD),
    (407, Reason.AUTH),
    (408, Reason.OTHER_4XX),
    (409, Reason.CONFLICT),
    (410, Reason.GONE),
    (413, Reason.TOO_LARGE),
    (418, Reason.OTHER_4XX),
    (422, Reason.BAD_REQUEST),
    (429, Reason.RATE),
    (500, Reason.SERVER),
    (501, Reason.SERVER),
    (502, Reason.UNAVAILABLE),
    (503, Reason.UNAVAILABLE),
    (504, Reason.UNAVAILABLE),
    (599, Reason.SERVER),
    (100, Reason.BAD_REPLY),
    (101, Reason.BAD_REPLY),
    (0, Reason.BAD_REPLY),
    (999, Reason.BAD_REPLY),
    (-1, Reason.BAD_REPLY),
]


FULL = {"host": "erp.example.com", "seconds": 5, "time": "10:42"}


def test_each_code_has_its_reason() -> None:
    assert [(code, reason_for_code(code)) for code, _ in CODES] == CODES


def test_every_explanation_is_in_full_sentences() -> None:
    for reason in Reason:
        for facts in (FULL, {"host": ""}):
            explained = explain(reason, **facts)
            for sentence in (explained.what_happened, explained.next_step):
                assert re.fullmatch(r"\S.*\.", sentence), sentence
                assert "{" not in sentence
                assert "  " not in sentence
            assert explained.title
            assert explained.side in Side
            assert explained.group in ReasonGroup
            text = f"{explained.title} {explained.what_happened} {explained.next_step}".lower()
            assert not re.search(r"\b(invalid|please|sorry|error occurred|oops)\b", text)


def test_the_title_has_the_code_after_the_reason() -> None:
    assert title(Reason.SERVER, 500) == "Server error (500)"
    assert title(Reason.DNS) == "Server not found"


def test_a_hostile_location_stays_one_short_line() -> None:
    explained = explain(
        Reason.REDIRECT, host="h" * 900, location="a\r\nb\x00\u202e" + "{x}" * 50_000
    )
    assert len(explained.what_happened) < 400
    assert explained.what_happened.isprintable()
    assert "ab{x}" in explained.what_happened
    # A location of a megabyte isn't read to its end.
    hidden = explain(Reason.REDIRECT, host="h", location="\0" * 1_000_000 + "behind")
    assert "behind" not in hidden.what_happened


@pytest.mark.parametrize(
    ("reason", "name", "limit", "sentence"),
    [
        (Reason.REFUSED, "host", 100, "{} refused the connection."),
        (Reason.REDIRECT, "location", 200, "redirected us to {}."),
        (Reason.RESET, "time", 64, "Ask the receiver’s team to check their logs at {}."),
    ],
)
def test_external_text_in_an_explanation_is_bounded(
    reason: Reason, name: str, limit: int, sentence: str
) -> None:
    def told(text: str) -> str:
        found = explain(reason, **{"host": "a.example", name: text})
        return f"{found.what_happened} {found.next_step}"

    assert sentence.format("x" * limit) in told("x" * limit)
    assert sentence.format("x" * (limit - 1) + "…") in told("x" * (limit + 1))
    # Unprintable characters are left out, and at most four times the limit is read.
    assert sentence.format("x") in told("\0" * (4 * limit - 1) + "xy")


def test_every_reason_is_in_exactly_one_group() -> None:
    grouped = [reason for group in ReasonGroup for reason in reasons_in(group)]
    assert sorted(grouped) == sorted(Reason)


REASONS = Path(__file__).parent / "golden" / "reasons.txt"


# Reasons whose next step needs no permission: look, ask, and pass on.
FREE = {
    *(Reason.CONNECT_TIMEOUT, Reason.READ_TIMEOUT, Reason.RESET, Reason.NO_REPLY),
    *(Reason.TLS_EXPIRED, Reason.TLS_UNTRUSTED, Reason.BAD_REQUEST, Reason.FORBIDDEN),
    *(Reason.CONFLICT, Reason.TOO_LARGE, Reason.OTHER_4XX, Reason.SERVER, Reason.UNAVAILABLE),
    *(Reason.INTERRUPTED, Reason.REFUSED, Reason.RATE),
}


def test_every_step_that_needs_a_permission_says_so() -> None:
    steps = {reason: step_after(reason, reference="7f3a") for reason in Reason}
    assert {reason for reason, step in steps.items() if step is None} == FREE
    for step in filter(None, steps.values()):
        assert PERMISSIONS[step.permission] != EVERYONE
        for sentence in filter(None, (step.others, step.own)):
            assert re.fullmatch(r"\S.*\.", sentence)
            assert not re.search(r"\{(?!ask\})", sentence)
        assert ASK in step.others
        assert ASK not in step.own


def test_a_step_without_a_permission_asks_for_no_restricted_action() -> None:
    for reason in FREE:
        step = explain(reason, host="a.example").next_step
        assert not re.search(r"\b([Ee]dit|[Rr]etry|[Tt]urn|administrator|header)\b", step)


def told_of(reason: Reason) -> Iterator[str]:
    """Yield the texts of a reason, with all facts and with none."""
    facts = {"location": "https://b.example/", "reference": "7f3a", "time": "10:42"}
    full = explain(reason, host="a.example", seconds=5, **facts)
    yield f"# {reason}: {full.title}; {full.side.label}; {full.group.label}"
    yield f"{full.what_happened} {full.next_step}"
    bare, step = explain(reason, host=""), step_after(reason)
    yield f"- {bare.what_happened} {bare.next_step}"
    words = step._asdict().items() if step else ()
    yield from (f"  {name}: {text}" for name, text in words if text)
    yield f"As {', '.join(alike(reason))}."


def test_the_texts_of_each_reason_match_the_golden_file(golden: Golden) -> None:
    texts = ["\n".join(told_of(reason)) for reason in Reason]
    golden.text(REASONS, "\n\n".join(texts) + "\n")


def test_an_administrator_is_not_sent_to_an_administrator() -> None:
    for reason in Reason:
        step = step_after(reason, reference="7f3a")
        own = (step.own if step else "") or explain(reason, host="a.example").next_step
        assert "administrator" not in own, reason
    internal = step_after(Reason.INTERNAL, reference="7f3a")
    assert internal
    assert internal.own == "Check this portal’s logs for 7f3a."


SAID = [
    ("asset.serial_number is missing\nat line 7", "asset.serial_number is missing"),
    ("\n\n  busy  ", "busy"),
    ("", ""),
    ('{"error": "asset.serial_number is missing"}', "asset.serial_number is missing"),
    ('{"error": "invalid", "message": "The tag is taken"}', "The tag is taken"),
    ('{"error": {"code": 17, "detail": "No such room"}}', "No such room"),
    ('{"Message":"Unknown asset"}', "Unknown asset"),
    ('[{"title": "Bad"}]', "Bad"),
    ('{"errors": ["No name", "No tag"]}', "No name"),
    ('[{"message": "No tag"}, {"message": "No name"}]', "No tag"),
    ('{"message": "caf\\u00e9 \\"A\\"\\nis shut"}', 'café "A" is shut'),
    ('{"reason": "R", "title": "T"}', "T"),
    ('{"error": "17", "errorMessage": "No such tag"}', "No such tag"),
    ('{"description": "D", "detail": "E"}', "E"),
    ('{"message": "caf\\u00e9\n\tA"}', "café A"),
    # A lone surrogate can't be decoded.
    ('{"message": "half \\ud83d"}', "half \ufffd"),
    # The beginning of a longer response.
    ('{"message": "It was cut o', "It was cut o"),
    ('{"message": "It was cut \\u00', "It was cut \\u00"),
    # A refused field says more than the message.
    *(
        (said, "asset.location_id: unknown location 3")
        for said in (
            '{"message": "Validation failed", "errors": [{"field": "asset.location_id", "message":'
            ' "unknown location 3"}]}',
            '{"detail": [{"loc": ["body", "asset", "location_id"], "msg": "unknown location 3"}]}',
            '{"title": "Not valid", "errors": {"asset.location_id": ["unknown location 3", "x"]}}',
            '{"errors": [{"source": {"pointer": "/asset/location_id"}, "detail": "unknown location'
            ' 3"}]}',
            '{"error": {"code": 422, "details": [{"field": "asset.location_id", "reason": "unknown'
            ' location 3"}]}}',
            '{"field": "asset.location_id", "error": "unknown location 3"}',
            '{"errors": {"asset.location_id": "unknown\\n location 3"}}',
        )
    ),
    ('{"errors": [{"field": "tag", "message": "The tag is taken"}]}', "The tag is taken"),
    ('{"errors": {"code": 17, "message": "No such room"}}', "No such room"),
    ('{"errors": [{"field": "\\ud83d", "message": "no"}]}', "\ufffd: no"),
    ('{"errors": [{"field": 7, "message": ["x"]}], "message": "No"}', "x"),
    # No sentence in it.
    ('{"message": ""}', '{"message": ""}'),
    ('{"id": 7}', '{"id": 7}'),
    # Text that only contains JSON.
    ('Not sent: {"message": "x"}', 'Not sent: {"message": "x"}'),
    (
        "<!DOCTYPE html>\n<html><head><title>\n 502 Bad\nGateway &amp; more</title>",
        "502 Bad Gateway & more",
    ),
    ("<html><body><h1 class='x'>Not here</h1>", "Not here"),
    # A title that repeats the code says less than the page’s first sentence.
    (
        "<!doctype html><html><head><title>500 Internal Server Error</title><style>p{}</style>"
        "</head><body><h1>Error</h1><p>The <b>pool</b> is exhausted (Hikari-1).</p></body></html>",
        "The pool is exhausted (Hikari-1).",
    ),
    (
        "<html><title>HTTP Status 404 – Not Found</title><h1>Not Found</h1><hr>nginx/1.18</html>",
        "HTTP Status 404 – Not Found",
    ),
    ("<html><title>Maintenance</title><p>We are back at noon.</p></html>", "Maintenance"),
    ("<p>gone</p>", "<p>gone</p>"),
]


def test_the_most_telling_sentence_of_a_response_is_found() -> None:
    for text, sentence in SAID:
        assert sentence_in(text) == sentence


ERRORS: Final[list[tuple[str, bool]]] = [
    *((f"<b>{word}</b>", True) for word in ("error", "failed", "failure", "invalid")),
    *((f"So many {word}!", True) for word in ("exceptions", "ERRORS", "Failures")),
    ("access denied", True),
    ("401 Unauthorized", True),
    ('{"error": "1"}', True),
    ("error  :  0", True),
    ("3 errors, 0 warnings", True),
    ("Error 0x80070005", True),
    ("error: nonexistent", True),
    ("0 errors", False),
    ("no error", False),
    *((f'{{"errors": {value}}}', False) for value in ("0", "false", "null", "[]", "None")),
    ("terror, errorless, failing", False),
    ("", False),
]


def test_a_response_that_mentions_an_error_is_recognized() -> None:
    for text, speaks in ERRORS:
        assert speaks_of_error(text) is speaks


def test_a_search_hit_is_shown_with_a_little_text_before_it() -> None:
    assert line_with("SERIAL", '{"error": "serial is missing"}') == "serial is missing"
    assert line_with("at 9", "all is well\n  it broke at 9\n") == "it broke at 9"
    line = line_with("needle", "x" * 500 + "needle" + "y" * 500)
    assert line.startswith("…" + "x" * 40 + "needley")
    shortly = "x" * 40 + "needle"
    assert line_with("needle", shortly) == shortly
    assert line_with("needle", "y" + shortly) == "…" + shortly
    page = "<html><title>500</title><body><p>First of all.</p><p>Pool-1 is <i>full</i>.</p><p>7"
    assert line_with("pool-1", page) == "Pool-1 is full."
    # The hit isn't in the sentence, so the sentence isn't shown.
    assert line_with("17", '{"message": "No", "code": 17}') == '{"message": "No", "code": 17}'


def test_only_the_start_of_a_response_is_searched_for_a_sentence() -> None:
    # On hostile text, the time of the pattern grows with the square of the length.
    far = f'{{"id": "{"x" * MOST_READ}", "message": "no"}}'
    assert sentence_in(far) == far[:MOST_READ]


@pytest.mark.parametrize(
    "said",
    ["[" * 1_999, '{"errors":' * 199, '{"error":' * 199 + "1" + "}" * 199, "[" + "9" * 1_998 + "]"],
)
def test_no_json_is_too_deep_or_too_long_for_a_sentence(said: str) -> None:
    assert sentence_in(said) == said
    assert sentence_in(f'{{"id": {"9" * 4_400}, "message": "no"}}').startswith('{"id": 999')


def test_a_web_page_is_reduced_to_its_text() -> None:
    page = "<!DOCTYPE html><html><head><title>500</title><style>p{}</style></head><body><script>"
    page += "alert(1)</script><h1>Server  <b>error</b></h1><p>&lt;No&gt; asset 7<br>Stop</body>"
    assert text_of_page(f"\n {page}") == "500\nServer error\n<No> asset 7\nStop"
    page = "<html><!-- > no --><p title='a > b' id=it's>1 < 2<noscript>No</noscript><p>&amp;lt;"
    assert text_of_page(f"{page}<script src='a' />3<template/>4<STYLE>p") == "1 < 2\n&lt;\n3\n4"
    # The page was cut off somewhere.
    for end in ("</", "</p", "<p class='a > b", "<!-- > ", "<!", "<?", "<style", "<script>if (a"):
        assert text_of_page(f"<html><p>Stop{end}") == "Stop", end
    for other in ("plain", '{"html": "<html>"}', "<error>xml</error>", "", "<html><script>x"):
        assert text_of_page(other) == ""


def test_no_web_page_is_slow_to_read() -> None:
    begun = time.process_time()
    for part in (
        "<",
        "<!--",
        "<!",
        "<a b='",
        "</",
        "&#",
        "<![CDATA[",
        "<script>",
        "<div>",
        "<a =/",
    ):
        assert len(text_of_page("<html>" + part * 500_000)) <= LONGEST_PAGE, part
    assert time.process_time() - begun < 5
