"""Tell whether a host is this machine."""

from ipaddress import ip_address


def is_this_machine(host: str) -> bool:
    """Return whether the host is localhost or a loopback address. Looks nothing up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
