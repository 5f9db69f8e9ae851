"""A CSV file that is sent while it is being read: two at a time for each person."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final, cast

from flask import Response, request, stream_with_context

from portal.lib.csv_cells import write_csv
from portal.lib.file_lock import FileLock
from portal.services.csv.export import take_slot
from portal.web.frame.access import actor

# In the others the comma stands in numbers. No language is a program's, which reads ours.
COMMA_LANGUAGES: Final = frozenset({"", "en", "he", "ja", "ko", "th", "zh"})


def csv_download(name: str, rows: Iterable[Sequence[object]], between: str = ",") -> Response:
    """Send `rows` as the file `name`, `between` between cells. Raises `TooManyExports`."""
    # Nobody closes the answer to a HEAD. The place comes first: a refusal leaves nothing open.
    slot = take_slot(actor().user_id or 0) if request.method == "GET" else None
    text = cast("Generator[str, None, None]", stream_with_context(write_csv(rows, between)))
    answer = Response(_Held(text, slot) if slot else text, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def excel_separator() -> str:
    """Return what the reader's Excel takes for the end of a cell: it goes by the language of the
    computer, as the browser does. Our import reads either."""
    language = (request.accept_languages.best or "").partition("-")[0].lower()
    return "," if language in COMMA_LANGUAGES else ";"


class _Held(Iterator[str]):
    """The lines, with a place that is free again at their end, however they end."""

    def __init__(self, text: Generator[str, None, None], slot: FileLock) -> None:
        self._text, self._slot = text, slot

    def __next__(self) -> str:
        try:
            return next(self._text)
        except BaseException:
            self._slot.release()
            raise

    def close(self) -> None:
        """Free the place: the browser may have gone away before the first line."""
        self._slot.release()
        self._text.close()
