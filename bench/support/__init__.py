"""What benchmarks share: a world of real processes, receivers, and the table they print."""
