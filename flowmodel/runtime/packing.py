"""Packed graphs. zlib compresses numbers of 16 bits better if all lower bytes come before all higher bytes."""

import zlib


def pack(content: bytes) -> bytes:
    """`content` with the bytes at even positions first, compressed by zlib."""
    return zlib.compress(content[::2] + content[1::2], 9)


def unpack(packed: bytes) -> bytes:
    """The content that :func:`pack` was given. Raises zlib.error when `packed` is damaged."""
    content = bytearray(zlib.decompress(packed))
    half = (len(content) + 1) // 2
    content[::2], content[1::2] = content[:half], content[half:]
    return bytes(content)
