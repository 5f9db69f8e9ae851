"""Shared parts of the benchmarks, with a world of real processes, receivers, and the printed
table."""
