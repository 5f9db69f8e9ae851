"""Text files as programs of the last thirty years write them, in whatever letters."""

import pytest

from portal.lib.spreadsheets.sheets import (
    CUT_OFF,
    NO_TEXT,
    WINDOWS,
    UnreadableError,
    read_csv,
    read_text,
)

TEXT = "name;Größe\nBürostuhl;5 €\n"


def test_each_is_read_and_a_guess_is_told() -> None:
    for encoding, guess in (
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("utf-16-le", ""),
        ("utf-16-be", ""),
        ("utf-32", ""),
        ("cp1252", WINDOWS),
    ):
        sheet = read_csv(TEXT.encode(encoding))
        assert list(sheet.columns) == ["name", "größe"], encoding
        assert list(sheet.headings) == ["name", "Größe"], encoding
        assert sheet.rows[0].cells == {"name": "Bürostuhl", "größe": "5 €"}, encoding
        assert (sheet.origin.encoding, sheet.origin.separator) == (guess, ";"), encoding


def test_the_unicode_text_of_excel_has_tabs() -> None:
    sheet = read_csv("name\tRaum\r\nStuhl\tÖtz\r\n".encode("utf-16"))
    assert sheet.rows[0].cells == {"name": "Stuhl", "raum": "Ötz"}
    assert sheet.origin.separator == "\t"


def test_what_is_no_text_is_refused() -> None:
    for content, sentence in (
        (TEXT.encode("utf-16")[:-1], CUT_OFF),
        (b"\xff\xfe\x00\xd8", CUT_OFF),
        (b"\xff\xfe\0\0" + b"\xff" * 4, CUT_OFF),
        (b"name\nB\x9drostuhl\n", NO_TEXT),
        (b"%PDF-1.7\n\xb5\xed\xae\x02", NO_TEXT),
        (bytes(range(256)), NO_TEXT),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 40 + b"\xff", NO_TEXT),
    ):
        with pytest.raises(UnreadableError) as refused:
            read_text(content)
        assert str(refused.value) == sentence, content


def test_a_mark_alone_is_an_empty_file() -> None:
    for content in (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b""):
        with pytest.raises(UnreadableError, match="This file is empty"):
            read_csv(content)


def test_a_heading_is_kept_as_it_was_written_and_cut_where_nobody_reads_it() -> None:
    sheet = read_csv(f" Serien Nr. ,'=x,,{'h' * 300}\na,b,c,d\n".encode())
    assert list(sheet.headings) == ["Serien Nr.", "=x", "h" * 200]
    assert list(sheet.columns) == ["serien_nr.", "=x", "h" * 200]
