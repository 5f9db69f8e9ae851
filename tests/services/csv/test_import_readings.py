"""A column of dates or amounts is read in one way or asked about, and never misread."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final, TypeVar

from hypothesis import given
from hypothesis import strategies as st

from portal.lib.typed_values import read_amount, read_day, without_currency
from portal.services.csv.import_readings import Reading, reading_of

V = TypeVar("V")
DATES, AMOUNTS = "purchase_date", "purchase_cost"


def of(ours: str, *texts: str, is_workbook: bool = False) -> Reading:
    return reading_of(ours, texts, "EUR", is_workbook=is_workbook)


def test_one_unambiguous_value_decides_for_its_column() -> None:
    for ours, texts, expected in (
        (DATES, ("03/04/2023", "13/04/2023"), "day_first"),
        (DATES, ("03/04/2023", "4/13/2023"), "month_first"),
        (DATES, ("03/04/2023", "22.4.23", "May 2, 2023", "soon"), "day_first"),
        (DATES, ("03-04-23", "99-12-31"), "year_first"),
        (AMOUNTS, ("1.250", "1.249,50"), ","),
        (AMOUNTS, ("1.250", "0.5"), "."),
        (AMOUNTS, ("1,250", "EUR 1,249.50", "on request"), "."),
        # Amounts in another currency do not decide how these are read.
        (AMOUNTS, ("1.250", "$1,399.50", "€ 200,00"), ","),
    ):
        assert of(ours, *texts).found == expected, texts


def test_an_ambiguous_column_offers_each_reading_with_its_result() -> None:
    for ours, texts, choices in (
        (
            DATES,
            ("03/04/2023", "05/05/2023"),
            {
                "day_first": ("03/04/2023", date(2023, 4, 3)),
                "month_first": ("03/04/2023", date(2023, 3, 4)),
            },
        ),
        (
            DATES,
            ("29-05-23",),
            {
                "day_first": ("29-05-23", date(2023, 5, 29)),
                "year_first": ("29-05-23", date(2029, 5, 23)),
            },
        ),
        # One of each kind, so the third stays ambiguous.
        (
            DATES,
            ("22/04/2023", "4/22/2023", "03/04/2023"),
            {
                "day_first": ("03/04/2023", date(2023, 4, 3)),
                "month_first": ("03/04/2023", date(2023, 3, 4)),
            },
        ),
        (
            AMOUNTS,
            ("1.250", "20"),
            {".": ("1.250", Decimal("1.250")), ",": ("1.250", Decimal(1250))},
        ),
    ):
        reading = of(ours, *texts)
        assert (reading.found, reading.choices, reading.leans) == ("", choices, ""), texts


def test_dates_with_dots_lean_to_day_first_but_are_asked_about() -> None:
    reading = of(DATES, "03.04.2023", "05.06.23")
    assert (reading.found, reading.leans) == ("", "day_first")


def test_a_mixed_column_offers_dotted_dates_day_first() -> None:
    reading = of(DATES, "03/04/2026", "4.3.2026")
    assert (reading.found, reading.leans) == ("", "")
    assert reading.choices == {
        "day_first": ("03/04/2026", date(2026, 4, 3)),
        "month_first": ("03/04/2026", date(2026, 3, 4)),
        "dots_day_first": ("4.3.2026", date(2026, 3, 4)),
    }
    assert set(of(DATES, "4/13/2026", "4.3.2026").choices) == {"month_first", "dots_day_first"}
    for text, day in (("03/04/2026", date(2026, 3, 4)), ("4.3.2026", date(2026, 3, 4))):
        assert read_day(text, "dots_day_first") == day


def test_unambiguous_columns_need_no_choice() -> None:
    for ours, texts in (
        (DATES, ("2023-04-03", "May 3, 2023", "13/04/2023", "4/13/2023", "5/5/2023", "soon")),
        (AMOUNTS, ("1.249,50", "1,249.50", "20", "on request", "$1.399")),
        (DATES, ()),
    ):
        assert of(ours, *texts) == Reading(), texts


def test_a_workbook_number_is_asked_about_despite_typed_neighbors() -> None:
    reading = of(AMOUNTS, "99.875", "€ 200,00", is_workbook=True)
    assert (reading.found, reading.leans, set(reading.choices)) == ("", ",", {".", ","})


DAY_FIRST: Final = ("%d/%m/%Y", "%d/%m/%y", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%d-%m-%y")
MONTH_FIRST: Final = ("%m/%d/%Y", "%m/%d/%y", "%m.%d.%Y", "%m-%d-%Y", "%m-%d-%y")
YEAR_FIRST: Final = ("%y-%m-%d",)
ANY: Final = ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d-%b-%y", "%Y-%m-%d 10:30")
days = st.dates(date(1970, 1, 1), date(2069, 12, 31))


@st.composite
def columns_of_days(draw: st.DrawFn) -> Mapping[str, date]:
    """Draw days as one person writes them, in one order and various formats."""
    own = draw(st.sampled_from((DAY_FIRST, MONTH_FIRST, YEAR_FIRST)))
    forms = st.sampled_from((*own, *ANY))
    close = days | st.builds(
        lambda day, month, year: date(year, month, day),
        *(st.integers(1, 12), st.integers(1, 12), st.integers(2001, 2012)),
    )
    return {format(day, form): day for day, form in draw(st.lists(st.tuples(close, forms)))}


def _amount(value: Decimal, point: str, group: str, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return text.replace(",", "g").replace(".", point).replace("g", group)


@st.composite
def columns_of_amounts(draw: st.DrawFn) -> Mapping[str, Decimal]:
    """Draw amounts as one person writes them, with one decimal sign and up to three decimals."""
    point, other = draw(st.sampled_from((".,", ",.")))
    groups = st.sampled_from((other, "", " ", "\u202f", "'", "’"))
    marks = st.sampled_from(("{}", "€ {}", "{} €", "EUR {}", "{} EUR", "€{}"))
    cents = st.integers(0, 2_000_000).map(lambda number: Decimal(number) / 100)
    written = st.tuples(cents, groups, marks, st.sampled_from((0, 2, 2, 2, 3)))
    column = {}
    for value, group, mark, decimals in draw(st.lists(written)):
        exact = value if decimals else Decimal(int(value))
        column[mark.format(_amount(exact, point, group, decimals))] = exact
    return column


def come_to_what_was_written(
    ours: str, column: Mapping[str, V], read: Callable[[str, str], V]
) -> None:
    reading = of(ours, *column)
    if reading.choices and not reading.found:
        return  # asked about
    for text, value in column.items():
        assert read(text, reading.found) == value, (text, reading)


@given(columns_of_days())
def test_days_are_read_as_they_were_written_or_asked_about(column: Mapping[str, date]) -> None:
    come_to_what_was_written(DATES, column, read_day)


@given(columns_of_amounts())
def test_amounts_are_read_as_they_were_written_or_asked_about(
    column: Mapping[str, Decimal],
) -> None:
    def read(text: str, sign: str) -> Decimal:
        return read_amount(without_currency(text, "EUR"), sign)

    come_to_what_was_written(AMOUNTS, column, read)
