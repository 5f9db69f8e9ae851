"""What an answer says in a sentence, whatever it is made of."""

import time
from typing import Final

from portal.engine.answer_words import (
    LONGEST_PAGE,
    MOST_READ,
    line_with,
    sentence_in,
    speaks_of_error,
    text_of_page,
)

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
    # The beginning of a longer one.
    ('{"message": "It was cut o', "It was cut o"),
    ('{"message": "It was cut \\u00', "It was cut \\u00"),
    # Nothing in it is a sentence.
    ('{"message": ""}', '{"message": ""}'),
    ('{"id": 7}', '{"id": 7}'),
    # No JSON, though it speaks of one.
    ('Not sent: {"message": "x"}', 'Not sent: {"message": "x"}'),
    (
        "<!DOCTYPE html>\n<html><head><title>\n 502 Bad\nGateway &amp; more</title>",
        "502 Bad Gateway & more",
    ),
    ("<html><body><h1 class='x'>Not here</h1>", "Not here"),
    ("<p>gone</p>", "<p>gone</p>"),
]


def test_the_sentence_of_an_answer_is_what_a_person_would_read_first() -> None:
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


def test_an_answer_speaks_of_an_error_where_it_has_one() -> None:
    for text, speaks in ERRORS:
        assert speaks_of_error(text) is speaks


def test_the_line_with_what_was_looked_for_is_shown_from_shortly_before_it() -> None:
    assert line_with("SERIAL", '{"error": "serial is missing"}') == "serial is missing"
    assert line_with("at 9", "all is well\n  it broke at 9\n") == "it broke at 9"
    line = line_with("needle", "x" * 500 + "needle" + "y" * 500)
    assert line.startswith("…" + "x" * 40 + "needley")
    shortly = "x" * 40 + "needle"
    assert line_with("needle", shortly) == shortly
    assert line_with("needle", "y" + shortly) == "…" + shortly
    # The sentence does not hold it, so it is not shown for it.
    assert line_with("17", '{"message": "No", "code": 17}') == '{"message": "No", "code": 17}'


def test_no_more_of_an_answer_is_searched_for_its_sentence_than_is_read_at_once() -> None:
    # The pattern for it takes a time that grows with the square of a text made to be slow.
    far = f'{{"id": "{"x" * MOST_READ}", "message": "no"}}'
    assert sentence_in(far) == far[:MOST_READ]


def test_of_a_web_page_its_reader_gets_the_text() -> None:
    page = "<!DOCTYPE html><html><head><title>500</title><style>p{}</style></head><body><script>"
    page += "alert(1)</script><h1>Server  <b>error</b></h1><p>&lt;No&gt; asset 7<br>Stop</body>"
    assert text_of_page(f"\n {page}") == "500\nServer error\n<No> asset 7\nStop"
    for other in ("plain", '{"html": "<html>"}', "<error>xml</error>", "", "<html><script>x"):
        assert text_of_page(other) == ""


def test_no_web_page_holds_up_who_reads_it() -> None:
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
