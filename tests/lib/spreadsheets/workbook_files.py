"""Minimal Excel and OpenDocument files for tests, written by hand."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

XML: Final = '<?xml version="1.0" encoding="UTF-8"?>'
OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
OASIS: Final = "urn:oasis:names:tc:opendocument:xmlns"
# A cell's style: 0 is none, 1 a date, 2 a date with its time.
STYLES: Final = (
    f'{XML}<styleSheet xmlns="{MAIN}"><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/>'
    '<xf numFmtId="22"/></cellXfs></styleSheet>'
)
Rows = Sequence[Sequence[str]]


def xlsx(*sheets: str, hidden: int = 0, more: Mapping[str, str] | None = None) -> bytes:
    """Return an Excel file with these sheets (see `cells_of`). The first `hidden` are hidden."""
    names = [f"Tabelle{number}" for number in range(1, len(sheets) + 1)]
    tags = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"{HIDDEN if n <= hidden else ""}/>'
        for n, name in enumerate(names, start=1)
    )
    links = "".join(
        f'<Relationship Id="rId{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(sheets) + 1)
    )
    parts = {
        "[Content_Types].xml": f'{XML}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships"><Relationship '
        f'Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{XML}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">'
        f"<sheets>{tags}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{XML}<Relationships xmlns="{PACKAGE}/relationships">{links}'
        f'<Relationship Id="rId0" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": STYLES,
        **{
            f"xl/worksheets/sheet{n}.xml": f'{XML}<worksheet xmlns="{MAIN}">'
            f"<sheetData>{rows}</sheetData></worksheet>"
            for n, rows in enumerate(sheets, start=1)
        },
        **(more or {}),
    }
    return zipped(parts)


HIDDEN: Final = ' state="hidden"'


def cells_of(rows: Rows) -> str:
    """Return rows of text for `xlsx`."""
    return "".join(
        f'<row r="{number}">{"".join(map(text, row))}</row>'
        for number, row in enumerate(rows, start=1)
    )


def text(words: str) -> str:
    """Return a cell with a text."""
    return f'<c t="inlineStr"><is><t>{escape(words)}</t></is></c>'


def ods(rows: Rows, *, values: str = "") -> bytes:
    """Return an OpenDocument file with one sheet. `values` are further rows as XML."""
    lines = "".join(
        f"<table:table-row>{''.join(map(_told, row))}</table:table-row>" for row in rows
    )
    content = (
        f'{XML}<office:document-content xmlns:office="{OASIS}:office:1.0" '
        f'xmlns:table="{OASIS}:table:1.0" xmlns:text="{OASIS}:text:1.0"><office:body>'
        f'<office:spreadsheet><table:table table:name="Inventar">{lines}{values}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        f'{XML}<manifest:manifest xmlns:manifest="{OASIS}:manifest:1.0"><manifest:file-entry '
        f'manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    )
    return zipped({"mimetype": kind, "META-INF/manifest.xml": manifest, "content.xml": content})


def _told(words: str) -> str:
    return (
        f'<table:table-cell office:value-type="string"><text:p>{escape(words)}</text:p>'
        "</table:table-cell>"
    )


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """Return the parts as a ZIP archive."""
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return kept.getvalue()
