"""Ends with a sentence where the portal cannot be installed. Old Pythons have to read it too."""

import platform
import sys

PYTHONS = ((3, 11), (3, 14))
PROCESSORS = ("x86_64", "aarch64")
GLIBC = (2, 28)


def obstacle():
    """What is in the way here, and what to do; empty when nothing is."""
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return (
            "The portal needs Python 3.11 to 3.14. This one is "
            + platform.python_version()
            + ". Choose another one, for example: make run PYTHON=python3.13"
        )
    if platform.system() != "Linux":
        return "The portal only runs on Linux. Use a virtual machine or a container."
    if platform.machine() not in PROCESSORS:
        return (
            "The packages need x86-64 or arm64. This processor is "
            + platform.machine()
            + ". Use another machine."
        )
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < GLIBC:
        return (
            "The packages need glibc 2.28 or newer. Debian has it from 10, Ubuntu from 20.04, "
            "and RHEL from 8. Alpine has none."
        )
    return ""


if __name__ == "__main__":
    sys.exit(obstacle() or 0)
