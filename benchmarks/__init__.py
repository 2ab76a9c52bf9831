"""Benchmarks. Speed is a ratio to a named peer, measured in the same run, because machines differ and are never idle."""
