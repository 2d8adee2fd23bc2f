"""The compiled filter: the same samples as numpy's, to the bit, however a stream is cut."""

import os
import subprocess
import sys
from functools import partial
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from shutil import which

import numpy as np
import pytest

from router.audio import compiled
from router.audio.polyphase import MAX_GAIN, Polyphase, Stream, is_small, polyphase
from tests.support.processes.host_apps import ROOT

pytestmark = pytest.mark.slow  # it starts a compiler

PAIRS = [
    *((rate, 24_000) for rate in (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)),
    *((24_000, rate) for rate in (8_000, 16_000, 48_000)),
]
CUTS = (320, 1, 0, 7, 641, 2, 960, 4096)


@pytest.fixture(scope="module")
def resampled(tmp_path_factory):
    """The function, compiled from the source of now."""
    if which("cc") is None and which("gcc") is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("compiled")
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", folder / "lib", "--build-temp", folder]
    environment = os.environ | {"SWITCHBOARD_COMPILE": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    assert "warning" not in built.stderr, built.stderr
    (path,) = folder.rglob("_resampling*.so")
    name = "router.audio._resampling"
    spec = spec_from_file_location(name, path, loader=ExtensionFileLoader(name, str(path)))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.resampled


def streams(resampled, rate_in, rate_out):
    """A stream of the compiled filter, and one of numpy's."""
    ours, theirs = Stream(rate_in, rate_out), Stream(rate_in, rate_out)
    design = polyphase(rate_in, rate_out)
    for stream, made in ((ours, compiled_by(resampled, design)), (theirs, design.made_by_numpy)):
        other = Polyphase.__new__(Polyphase)
        for name in Polyphase.__slots__:
            setattr(other, name, made if name == "made" else getattr(design, name))
        stream._design = other
    return ours, theirs


def compiled_by(resampled, design):
    return partial(resampled, design.parts(), design.block_in, design.block_out, design.taps)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
@pytest.mark.parametrize("loudness", [100, 3_000, 40_000])
def test_the_samples_are_those_of_numpy(resampled, rate_in, rate_out, loudness):
    ours, theirs = streams(resampled, rate_in, rate_out)
    chance = np.random.default_rng(rate_in + loudness)
    for count in CUTS:
        pcm = np.clip(chance.normal(0, loudness, count), -32_768, 32_767).astype("<i2").tobytes()
        assert ours.convert(pcm) == theirs.convert(pcm)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_the_loudest_sums_are_those_of_numpy(resampled, rate_in, rate_out):
    design = polyphase(rate_in, rate_out)
    for sign in (1, -1):
        for output in range(design.block_out):
            samples = np.where(design.coefficients[:, output] * sign < 0, -32_768, 32_767).astype("<i2")
            line = samples.tobytes() + bytes(2 * design.block_in)
            assert compiled_by(resampled, design)(line, 0, design.block_out) == design.made_by_numpy(
                line, 0, design.block_out
            )


def test_halves_are_rounded_to_even(resampled):
    one, half = (1 << 24) >> 11, (1 << 23) >> 11
    parts = np.array([half, 0], "<i2").tobytes()
    line = np.arange(-5, 6, dtype="<i2").tobytes()
    expected = np.rint(np.arange(-5, 6) / 2).astype("<i2").tobytes()
    assert resampled(parts, 1, 1, 1, line, 0, 11) == expected
    assert resampled(np.array([one, 0], "<i2").tobytes(), 1, 1, 1, line, 0, 11) == line


def test_a_line_that_is_too_short_is_refused(resampled):
    design = polyphase(16_000, 24_000)
    make = compiled_by(resampled, design)
    with pytest.raises(ValueError, match="too short"):
        make(bytes(2 * design.taps), 0, 3)
    for first, outputs in ((-1, 1), (2, 1)):
        with pytest.raises(ValueError, match="too short"):
            make(bytes(1_000), first, outputs)
    assert make(bytes(2 * design.taps), 0, 1) == bytes(2)
    assert make(b"", 0, 0) == b""


def test_a_design_that_is_not_whole_is_refused(resampled):
    for parts, block_in, block_out, taps in ((bytes(10), 1, 1, 2), (bytes(8), 0, 1, 2), (bytes(8), 1, -1, -2)):
        with pytest.raises(ValueError, match="not whole"):
            resampled(parts, block_in, block_out, taps, bytes(100), 0, 1)


@pytest.mark.parametrize(
    "arguments",
    [(), (bytes(8), 1, 1, 2, bytes(9), 0), (bytes(8), 1, 1, 2, bytearray(9), 0, 1), (b"", 1, 1, "2", b"", 0, 1)],
)
def test_arguments_of_another_kind_are_refused(resampled, arguments):
    with pytest.raises(TypeError):
        resampled(*arguments)


def test_no_sum_of_any_filter_leaves_32_bits():
    """The bounds of `_resampling.c`: its sums of high parts, and of the low parts of 48 taps."""
    for rate in range(8_000, 48_001, 1_000):
        for rate_in, rate_out in ((rate, 24_000), (24_000, rate)):
            if rate == 24_000 or not is_small(rate_in, rate_out):
                continue
            design = polyphase.__wrapped__(rate_in, rate_out)
            high, low = np.frombuffer(design.parts(), "<i2").reshape(2, design.block_out, design.taps).astype(np.int64)
            assert np.abs(design.coefficients).sum(axis=0).max() < MAX_GAIN
            assert np.abs(high).sum(axis=1).max() * 32_768 < 2**31
            assert np.abs(low).max() * 48 * 32_768 < 2**31


def test_the_router_says_which_code_resamples():
    assert ("numpy" if compiled.resampled is None else "compiled") == compiled.RESAMPLING
    assert (polyphase(16_000, 24_000).made.__class__ is partial) == (compiled.RESAMPLING == "compiled")
