"""The server of the browser tests leaves no file open behind a browser that hangs up."""

from io import BytesIO

from werkzeug.test import create_environ
from werkzeug.wrappers import Response
from werkzeug.wsgi import FileWrapper

from tests.browser.support.serve_app import read_whole


def test_a_file_is_closed_before_a_byte_of_it_is_sent() -> None:
    file = BytesIO(b"once")
    app = Response(FileWrapper(file), direct_passthrough=True)
    parts = read_whole(app)(create_environ(), lambda *_: lambda _: None)
    assert file.closed
    assert b"".join(parts) == b"once"
