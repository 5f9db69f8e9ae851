"""A body as other programs write it anew: each way once, by its name, and never as ours is."""

import pytest

from portal.engine.signing.rewritten_json import rewritten

LETTERS, SLASHES = "letters such as é written out", "slashes written as \\/"
# A letter, a slash, signs of HTML, and what reads like an escape and is none.
BODY = rb'{"b":"\u00e9/<&>+\u2028","a":"\"x\" C:\\u00e9\\"}'


def test_each_way_to_write_the_letters_is_told_by_its_name() -> None:
    assert list(rewritten(BODY))[:5] == [
        (name, text.encode())
        for name, text in (
            (LETTERS, '{"b":"é/<&>+\u2028","a":"\\"x\\" C:\\\\u00e9\\\\"}'),
            (SLASHES, r'{"b":"\u00e9\/<&>+\u2028","a":"\"x\" C:\\u00e9\\"}'),
            (f"{LETTERS}, {SLASHES}", '{"b":"é\\/<&>+\u2028","a":"\\"x\\" C:\\\\u00e9\\\\"}'),
            (
                f"{LETTERS}, <, > and & escaped",
                r'{"b":"é/\u003c\u0026\u003e+\u2028","a":"\"x\" C:\\u00e9\\"}',
            ),
            (
                "characters escaped as .NET does",
                r'{"b":"\u00E9/\u003C\u0026\u003E\u002B\u2028","a":"\u0022x\u0022 C:\\u00e9\\"}',
            ),
        )
    ]


def test_each_layout_is_told_by_its_name_in_our_order_of_keys_and_in_theirs() -> None:
    assert list(rewritten(b'{"b":[1],"a":2}')) == [
        ("sorted keys", b'{"a":2,"b":[1]}'),
        ("spaces after commas and colons", b'{"b": [1], "a": 2}'),
        ("sorted keys, spaces after commas and colons", b'{"a": 2, "b": [1]}'),
        ("pretty-printed", b'{\n  "b": [\n    1\n  ],\n  "a": 2\n}'),
        ("sorted keys, pretty-printed", b'{\n  "a": 2,\n  "b": [\n    1\n  ]\n}'),
        ("pretty-printed", b'{\n    "b": [\n        1\n    ],\n    "a": 2\n}'),
        ("sorted keys, pretty-printed", b'{\n    "a": 2,\n    "b": [\n        1\n    ]\n}'),
        ("pretty-printed", b'{\n\t"b": [\n\t\t1\n\t],\n\t"a": 2\n}'),
        ("sorted keys, pretty-printed", b'{\n\t"a": 2,\n\t"b": [\n\t\t1\n\t]\n}'),
    ]


@pytest.mark.parametrize("body", [b"", b"[object Object]"])
def test_what_is_no_json_is_not_written_anew(body: bytes) -> None:
    assert list(rewritten(body)) == []
