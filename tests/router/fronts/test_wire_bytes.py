"""The length of a frame on the wire."""

import pytest

from actors.connections import frames
from router.fronts.wire_bytes import wire_bytes

SIZES = [0, 125, 126, 65_535, 65_536]


@pytest.mark.parametrize("size", SIZES)
def test_the_length_of_a_text_is_that_on_the_wire(size):
    text = "é" * (size // 2) + "x" * (size % 2)
    written = b"".join(frames.text_frames(text, mask=False, max_frame_bytes=2**20))
    assert wire_bytes(text) == len(written)


@pytest.mark.parametrize("size", SIZES)
def test_the_length_of_a_binary_frame_is_that_on_the_wire(size):
    written = b"".join(frames.binary_frames(bytes(size), mask=False, max_frame_bytes=2**20))
    assert wire_bytes(bytes(size)) == len(written)
