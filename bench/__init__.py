"""Benchmarks: every figure is a ratio, in one run, to a floor or a peer."""
