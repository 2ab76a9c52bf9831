"""Where icons come from: what `sources.yaml` may say (`config.py`), and one module for each kind of source.

A kind is a module with two functions: `read(config, context) -> Reading` and `observe(config, context) -> Observation`.
"""
