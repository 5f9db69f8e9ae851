"""Run a test in its own namespaces, so that no packet leaves this machine and no real disk fills.

A test marked `@pytest.mark.netns(addresses=[…], hosts={…}, disks={…})` runs in a fork that enters
them. Inside, only `lo` is up with the given addresses, and `/etc/hosts` has just the given names.
Other names are looked up at `resolvers` (127.0.0.1, where a test can start a server). `disks` maps
folders to megabytes: inside, each is a small empty disk. Threads and connections of fixtures stay
outside. If namespaces are not permitted, the test fails and is never skipped.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_SIOCSIFADDR, _SIOCSIFFLAGS, _SIOCSIFNETMASK = 0x8916, 0x8914, 0x891C
_IFF_UP = 1
_libc = ctypes.CDLL(None, use_errno=True)


def run_apart(item: pytest.Function) -> bool | None:
    """Run a marked test inside and report its failure here. Returns None for any other test."""
    marker = item.get_closest_marker("netns")
    if marker is None:
        return None
    given = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    if trouble := apart(lambda: item.obj(**given), **marker.kwargs):
        pytest.fail(f"in its network namespace:\n{trouble}", pytrace=False)
    return True


def apart(
    act: Callable[[], object],
    *,
    addresses: Sequence[str] = (),
    hosts: Mapping[str, str] | None = None,
    disks: Mapping[str, int] | None = None,
    resolvers: Sequence[str] = ("127.0.0.1",),
) -> str:
    """Run `act` in a fork in its own namespaces. Returns the trouble, or ""."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # our other threads hold no lock
        pid = os.fork()
    if pid == 0:
        trouble = ""
        try:
            _enter(addresses, hosts or {}, disks or {}, resolvers)
            act()
        except BaseException:
            trouble = traceback.format_exc()
        finally:
            os.write(writer, trouble.encode()[-60_000:])
            os._exit(bool(trouble))
    os.close(writer)
    try:
        with open(reader) as file:
            trouble = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:  # the test has timed out
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise
    return trouble or (f"it ended with {code}" if code else "")


def _enter(
    addresses: Sequence[str],
    hosts: Mapping[str, str],
    disks: Mapping[str, int],
    resolvers: Sequence[str],
) -> None:
    """Enter new namespaces, and set them up."""
    os.environ.pop("XDG_RUNTIME_DIR", None)  # a database outside uses that folder
    if _libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no namespaces")
    _mount("none", "/", flags=_MS_REC | _MS_PRIVATE)
    for folder, megabytes in disks.items():
        _mount("tmpfs", folder, kind="tmpfs", data=f"size={megabytes}m")
    own_address("lo", "127.0.0.1", "255.0.0.0")
    for number, address in enumerate(addresses):
        own_address(f"lo:{number}", address, "255.255.255.255")
    names = {"localhost": "127.0.0.1", **hosts}
    _replace("/etc/hosts", "".join(f"{address} {name}\n" for name, address in names.items()))
    servers = "".join(f"nameserver {address}\n" for address in resolvers)
    _replace("/etc/resolv.conf", f"{servers}options timeout:1 attempts:1\n")
    _replace("/etc/nsswitch.conf", "hosts: files dns\n")


def own_address(interface: str, address: str, mask: str) -> None:
    """Give the interface an address and bring it up, without the `ip` program."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, mask)):
            sockaddr = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(handle, request, struct.pack("16s16s", interface.encode(), sockaddr))
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sH14x", interface.encode(), _IFF_UP))


def _replace(path: str, text: str) -> None:
    """Show other content at this path in this mount namespace only."""
    if not Path(path).exists():
        return
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(text)
    _mount(file.name, os.path.realpath(path), flags=_MS_BIND)
    Path(file.name).unlink()


def _mount(source: str, target: str, *, kind: str = "", flags: int = 0, data: str = "") -> None:
    words = [word.encode() or None for word in (source, target, kind, data)]
    if _libc.mount(*words[:3], flags, words[3]) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {target}")
