"""Benchmarks of the whole portal: real databases, Valkey, processes and sockets, on loopback."""
