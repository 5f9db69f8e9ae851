"""Send a CSV file while its rows are being read, at most two at a time per person."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final, cast

from flask import Response, request, stream_with_context

from portal.lib.csv_cells import write_csv
from portal.lib.file_lock import FileLock
from portal.services.csv.export import take_slot
from portal.web.frame.access import actor

# Other languages use the comma in numbers. Programs send no language and read our format.
COMMA_LANGUAGES: Final = frozenset({"", "en", "he", "ja", "ko", "th", "zh"})
# The last line of a file whose export failed.
INCOMPLETE: Final = "This file is incomplete because the export failed. Export it again."


def csv_download(name: str, rows: Iterable[Sequence[object]], between: str = ",") -> Response:
    """Send `rows` as the file `name`, with `between` between cells. Raises `TooManyExports`."""
    # No one closes a HEAD response. Take the slot first, so that a refusal leaves nothing open.
    slot = take_slot(actor().user_id or 0) if request.method == "GET" else None
    text = cast(
        "Generator[str, None, None]", stream_with_context(_marked_if_cut(write_csv(rows, between)))
    )
    answer = Response(_Held(text, slot) if slot else text, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def excel_separator() -> str:
    """Return the cell separator of the reader's Excel. Our import reads either one.

    Like the browser, Excel uses the language of the computer.
    """
    language = (request.accept_languages.best or "").partition("-")[0].lower()
    return "," if language in COMMA_LANGUAGES else ";"


def _marked_if_cut(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines and, after an error, one that says so to the person who keeps the file.

    The error then breaks the connection, but a proxy can pass on the file as complete.
    """
    has_begun = False
    try:
        for line in lines:
            has_begun = True
            yield line
    except Exception:
        if has_begun:  # otherwise the server responds 500
            yield f"{INCOMPLETE}\r\n"
        raise


class _Held(Iterator[str]):
    """Lines that hold a slot, and free it when they end for any reason."""

    def __init__(self, text: Generator[str, None, None], slot: FileLock) -> None:
        self._text, self._slot = text, slot

    def __next__(self) -> str:
        try:
            return next(self._text)
        except BaseException:
            self._slot.release()
            raise

    def close(self) -> None:
        """Free the slot, because the browser can disconnect before the first line."""
        self._slot.release()
        self._text.close()
