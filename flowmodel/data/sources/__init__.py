"""The sources of icons: the fields of `sources.yaml` (`config.py`), and one module for each kind of source.

A kind is a module with two functions: `read(config, context) -> Reading` and `observe(config, context) -> Observation`.
"""
