"""No process of the portal writes its TLS keys to a file."""

from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT, migrate_to_head
from tests.support.processes import Process
from tests.support.valkey import PrivateValkey

CONNECT = "import ssl, pycurl; ssl.create_default_context(); pycurl.Curl(); print('Ready.')"


@pytest.mark.parametrize(
    ("arguments", "ready"),
    [
        (("-m", "jobs", "worker", "deliveries"), "Ready for deliveries."),
        (("-c", f"import wsgi; {CONNECT}"), "Ready."),
        (("-c", f"import runpy; runpy.run_path('gunicorn.conf.py'); {CONNECT}"), "Ready."),
        (("-c", f"import jobs.supervisor; {CONNECT}"), "Ready."),
    ],
)
def test_sslkeylogfile_is_ignored(
    valkey: PrivateValkey, tmp_path: Path, arguments: tuple[str, ...], ready: str
) -> None:
    kept = tmp_path / "keys.log"
    url = f"sqlite:///{tmp_path}/portal.sqlite"
    migrate_to_head(url, tmp_path)
    places = {"DATABASE_URL": url, "REDIS_URL": valkey.url, "INSTANCE_DIR": str(tmp_path)}
    environ = {**ENVIRONMENT, **places, "SSLKEYLOGFILE": str(kept)}
    process = Process(tmp_path / "output.txt", arguments, environ)
    try:
        assert process.says(ready), process.output.read_text()
        assert not kept.exists()
    finally:
        process.close()
