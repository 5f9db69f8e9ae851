"""Outages of our own network, told apart from failures of receivers."""

from itertools import count

from portal.engine.connectivity import LONGEST_OFFLINE, OfflineHosts, Probe, is_outage

# One letter per host. Capitals connect. "a=1" means that a resolves to address 1. "?" marks a host
# without a delivery yet or with a failure since.
TABLE = [
    ("", False),
    ("a", False),
    ("a b", True),
    ("a b C", True),
    ("a b C D", False),
    ("a b c C=9", True),
    ("a B", False),
    ("a=1 b=1", False),
    ("a=1 b=1 c", True),
    ("a=1 B=1 c", False),
    ("a b C=1 D=1", True),
    ("a? b?", False),
    ("a b? C", False),
    ("a b C? D?", True),
]


def probes(words: str) -> list[Probe]:
    probed = []
    for word in words.split():
        name, _, address = word.rstrip("?").partition("=")
        is_well = not word.endswith("?")
        probed.append(Probe(name.lower(), address or None, name.isupper(), is_well))
    return probed


def test_an_outage_needs_two_healthy_hosts_and_more_than_connect() -> None:
    for words, is_ours in TABLE:
        assert is_outage(probes(words)) is is_ours, words


def test_an_outage_is_judged_by_all_probes_since_its_start() -> None:
    hosts, clock = OfflineHosts(), count(1)
    steps = [
        ("a", ""),
        ("a b C", "a b"),
        ("a b", "a b"),  # during an outage, only these are probed
        ("d", "a b d"),
        ("A", "b d"),  # as many connect as fail, so the rest are the receivers' failures
    ]
    offline = []
    for words, _ in steps:
        hosts.note_probes(probes(words), next(clock))
        offline.append(" ".join(sorted(hosts.since)))
    assert offline == ["", "a b", "a b", "a b d", ""]


def test_a_host_that_failed_before_goes_offline_but_is_no_evidence() -> None:
    hosts = OfflineHosts()
    assert hosts.note_probes(probes("a b"), 1.0)
    assert hosts.note_probes(probes("x?"), 2.0)
    assert hosts.since == {"a": 1.0, "b": 1.0, "x": 2.0}
    assert not hosts.note_probes(probes("A b x?"), 3.0)
    assert not hosts.since


def test_a_host_keeps_its_first_offline_time() -> None:
    hosts = OfflineHosts()
    for at in (1.0, 2.0):
        hosts.note_probes(probes("a b"), at)
    hosts.note_probes(probes("a b c"), 3.0)
    assert hosts.since == {"a": 1.0, "b": 1.0, "c": 3.0}


def test_after_six_hours_offline_a_host_counts_as_the_receivers_failure() -> None:
    hosts = OfflineHosts()
    hosts.note_probes(probes("a b"), 0.0)
    hosts.note_probes(probes("a b c d"), 60.0)
    hosts.note_probes(probes("a b c d"), LONGEST_OFFLINE - 1)
    assert not hosts.is_expired("a")
    assert hosts.note_probes(probes("a b c d"), LONGEST_OFFLINE)
    assert set(hosts.since) == {"c", "d"}
    assert (hosts.is_expired("a"), hosts.is_expired("c")) == (True, False)
    hosts.note_connected("a")
    assert not hosts.is_expired("a")
    assert hosts.is_expired("b")
    hosts.note_probes(probes("B"), LONGEST_OFFLINE + 1)
    assert not hosts.is_expired("b")
