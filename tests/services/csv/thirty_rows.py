"""A list of thirty assets as an office keeps it, with its own headings and spellings.

Two rows are wrong, one of them in nearly every cell.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from tests.lib.spreadsheets.workbook_files import cells_of, ods, text, xlsx

HEADINGS: Final = (
    *("Inventory No.", "Asset name", "Kind of device", "Bought on", "Guarantee until", "Price"),
    *("Where", "Who"),
)
KINDS: Final = ("Laptop", "Monitor", "Phone", "Projector")
PLACES: Final = ("Vienna", "Graz", "Büro 4")
PEOPLE: Final = ("", "Maria Lopez", "jonas.brandt@example.com", "", "MARIA@example.com", "-")
DATES: Final = ("%d/%m/%Y", "{day}.{month}.%y", "%d %B %Y", "%B %d, %Y", "%Y-%m-%d")
PRICES: Final = ("€ {}", "EUR {}", "{}", "{} €")
WRONG: Final = {
    12: ["INV-012", "Kaffeemaschine", "Laptop", "31/02/2023", "soon", "$1,399", "Graz", ""],
    25: ["INV-005", "", "Phone", "2023-05-01", "2023-04-01", "on request", "Graz", ""],
}
MENDED: Final = {
    12: ["INV-012", "Kaffeemaschine", "Laptop", "28/02/2023", "2025-02-28", "1.399", "Graz", ""],
    25: ["INV-025", "Telefon 25", "Phone", "2023-05-01", "2024-04-01", "99,-", "Graz", ""],
}


def bought(number: int) -> date:
    return date(2023, number % 12 + 1, number)


def ends(number: int) -> date:
    return bought(number).replace(year=2026)


def written(day: date, number: int) -> str:
    form = DATES[number % len(DATES)]
    return format(day, form.format(day=day.day, month=day.month))


def price(number: int) -> int:
    """Return the price in cents."""
    return 4_990 + number * 12_345


def priced(number: int) -> str:
    whole = f"{price(number) / 100:,.2f}".replace(",", " ").replace(".", ",")
    grouped = whole.replace(" ", (".", " ", "'", ".")[number % 4])
    return PRICES[number % len(PRICES)].format(grouped)


def row(number: int) -> list[str]:
    if number in WRONG:
        return WRONG[number]
    return [
        f"INV-{number:03}",
        f"Gerät {number}",
        KINDS[number % len(KINDS)],
        written(bought(number), number),
        written(ends(number), number + 1),
        priced(number),
        PLACES[number % len(PLACES)],
        PEOPLE[number % len(PEOPLE)],
    ]


ROWS: Final = [row(number) for number in range(1, 31)]


def separated(rows: Sequence[Sequence[str]], between: str) -> str:
    lines = [list(HEADINGS), *rows]
    return "".join(
        between.join(f'"{cell}"' if between in cell else cell for cell in line) + "\r\n"
        for line in lines
    )


def excel() -> bytes:
    """Return the list as an Excel file, in which recognized dates and amounts are numbers."""

    def cell(number: int, place: int, words: str) -> str:
        if place == 3 and DATES[number % len(DATES)].startswith("%Y") and number not in WRONG:
            serial = (bought(number) - date(1899, 12, 30)).days
            return f'<c s="1"><v>{serial}</v></c>'
        if place == 5 and words == priced(number) and words[0].isdigit() and words[-1].isdigit():
            return f"<c><v>{price(number) / 100}</v></c>"
        return text(words)

    lines = (
        "".join(cell(number, place, words) for place, words in enumerate(line))
        for number, line in enumerate(ROWS, start=1)
    )
    rows = "".join(f'<row r="{at}">{line}</row>' for at, line in enumerate(lines, start=2))
    return xlsx(cells_of([HEADINGS]) + rows)


SEPARATORS: Final = {"semicolon.csv": ";", "windows.csv": ";", "tab.tsv": "\t"}
FILES: Final[Mapping[str, bytes]] = {
    "comma.csv": separated(ROWS, ",").encode(),
    "semicolon.csv": separated(ROWS, ";").encode(),
    "tab.tsv": separated(ROWS, "\t").encode(),
    "windows.csv": separated(ROWS, ";").encode("cp1252"),
    "excel.xlsx": excel(),
    "open.ods": ods([HEADINGS, *ROWS]),
}
