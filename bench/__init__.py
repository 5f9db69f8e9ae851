"""Benchmarks of the whole portal, with real databases, Valkey, processes and sockets on
loopback."""
