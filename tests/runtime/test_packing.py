"""Packed graphs."""

import zlib

import numpy as np
import pytest

from flowmodel.runtime.packing import pack, unpack


@pytest.mark.parametrize("content", [b"", b"a", b"ab", b"abc", bytes(range(256)) * 3])
def test_what_is_packed_is_unpacked(content):
    assert unpack(pack(content)) == content


def test_weights_become_smaller_than_by_zlib_alone():
    weights = np.random.default_rng(0).normal(0, 0.05, 50_000).astype(np.float16).tobytes()
    assert len(pack(weights)) < 0.95 * len(zlib.compress(weights, 9)) < len(weights)
