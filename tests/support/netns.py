"""Runs a test in namespaces of its own, so that no packet can leave this machine, and no disk is
filled but its own.

A test marked `@pytest.mark.netns(addresses=[…], hosts={…}, disks={…})` is run again by a second
pytest under `unshare -m -n`: only `lo` is up, the given addresses are its own, `/etc/hosts` has
just the given names, and names not in it are asked of the servers at `resolvers` (127.0.0.1; a test
may start one). `disks`: folders that are small empty disks inside, with their megabytes. Where
namespaces are not permitted the test fails; it is never skipped.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

INSIDE = "TESTS_NETWORK_NAMESPACE"
WORLD = {"addresses": [], "hosts": {}, "disks": {}, "resolvers": ["127.0.0.1"]}

_MS_BIND = 4096
_SIOCSIFADDR, _SIOCSIFFLAGS, _SIOCSIFNETMASK = 0x8916, 0x8914, 0x891C
_IFF_UP = 1


def run_apart(item: pytest.Function) -> bool | None:
    """For a marked test: run it inside and report its failure here; None for any other test."""
    marker = item.get_closest_marker("netns")
    if marker is None or os.environ.get(INSIDE):
        return None
    command = [
        "unshare",
        "-m",
        "-n",
        sys.executable,
        "-m",
        "tests.support.netns",
        json.dumps(marker.kwargs),
    ]
    # Only the conftest beside the test: what the others start has no place inside. Only the plugin
    # that the settings need: the others take longer to load than the test to run.
    scope = ["-q", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
    scope += [f"--confcutdir={item.path.parent}"]
    inner = [sys.executable, "-m", "pytest", *scope, item.nodeid]
    result = subprocess.run(
        [*command, *inner],
        cwd=item.config.rootpath,
        env={
            # A database that runs outside has its runtime folder to itself.
            **{name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"},
            INSIDE: "1",
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=marked.args[0] - 10 if (marked := item.get_closest_marker("timeout")) else 110,
        check=False,
    )
    if result.returncode != 0:
        pytest.fail(f"in its network namespace:\n{result.stdout}\n{result.stderr}", pytrace=False)
    return True


def enter(world: dict[str, object]) -> None:
    """Set up the namespace in which this process already is."""
    world = WORLD | world
    addresses, hosts, disks = world["addresses"], world["hosts"], world["disks"]
    resolvers = world["resolvers"]
    assert isinstance(addresses, list)
    assert isinstance(resolvers, list)
    assert isinstance(hosts, dict)
    assert isinstance(disks, dict)
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
    """Give the interface an address and bring it up, without needing the `ip` program."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, mask)):
            sockaddr = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(handle, request, struct.pack("16s16s", interface.encode(), sockaddr))
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sH14x", interface.encode(), _IFF_UP))


def _replace(path: str, text: str) -> None:
    """Show other content at this path, inside this mount namespace only."""
    if not Path(path).exists():
        return
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(text)
    _mount(file.name, os.path.realpath(path), flags=_MS_BIND)
    Path(file.name).unlink()


def _mount(source: str, target: str, *, kind: str = "", flags: int = 0, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [word.encode() or None for word in (source, target, kind, data)]
    if libc.mount(*words[:3], flags, words[3]) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {target}")


if __name__ == "__main__":
    enter(json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 -- becomes pytest, with our own arguments
