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
            "Python 3.11 to 3.14 is needed, and this one is "
            + platform.python_version()
            + ". Name another: make run PYTHON=python3.13"
        )
    if platform.system() != "Linux":
        return "The portal runs on Linux. Here a virtual machine or a container can bring one."
    if platform.machine() not in PROCESSORS:
        return (
            "The packages are ready-made for x86-64 and arm64, and this processor is "
            + platform.machine()
            + ". Take another machine."
        )
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < GLIBC:
        return (
            "The packages are ready-made for glibc 2.28 or newer. Debian has it from 10 on, "
            "Ubuntu from 20.04 on, RHEL from 8 on; Alpine does not."
        )
    return ""


if __name__ == "__main__":
    sys.exit(obstacle() or 0)
