"""Buffers outside of the heap."""

import pickle

import psutil

from router.audio.pages import pages

SIZE = 16_000


def test_a_buffer_has_zeros_at_first_and_keeps_its_size():
    it = pages(SIZE)
    assert it[:] == bytes(SIZE)
    it[10:14] = b"abcd"
    assert (it[8:16], len(it)) == (b"\0\0abcd\0\0", SIZE)


def test_the_memory_returns_with_the_buffer():
    process = psutil.Process()
    buffers = []
    for _ in range(1000):
        buffers.append(pages(SIZE))
        buffers[-1][:] = b"x" * SIZE
    full_bytes = process.memory_info().rss
    del buffers[:-1]  # the last one remains, as in a process where some sessions go on
    assert full_bytes - process.memory_info().rss > 0.9 * 999 * SIZE


def test_a_copy_has_the_same_bytes():
    it = pages(4)
    it[:] = b"abcd"
    assert pickle.loads(pickle.dumps(it)) == b"abcd"  # noqa: S301 - our own bytes
