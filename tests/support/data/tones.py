"""Sines, and the noise that a conversion adds to them."""

import math
import random

import numpy as np

FULL_SCALE = 32768.0


def tone(frequency, rate, seconds=1.0, amplitude=20_000.0):
    """Return a sine as exact levels at `rate`."""
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def linear16(levels):
    return np.rint(levels).astype("<i2").tobytes()


def linear32(levels):
    return (np.asarray(levels) / FULL_SCALE).astype("<f4").tobytes()


def levels_of(pcm):
    return np.frombuffer(pcm, "<i2").astype(float)


def cut(data, seed, longest=1500):
    """Yield the bytes in pieces of random length. Some lengths are odd, and some pieces are empty."""
    chance = random.Random(seed)  # noqa: S311 - the same cuts at every run
    at = 0
    while at < len(data):
        length = chance.randrange(longest)
        yield data[at : at + length]
        at += length


def decibels(signal, noise):
    return 10 * math.log10(np.mean(np.square(signal)) / max(np.mean(np.square(noise)), 1e-12))


def inner(levels, rate, margin_s=0.01):
    """Return the levels without the fades at both ends, where the stream begins and ends in silence."""
    margin = round(margin_s * rate)
    return levels[margin:-margin]


def noise_db(expected, actual, rate):
    """Return the ratio of the expected level to its difference from the actual one, in dB."""
    return decibels(inner(expected, rate), inner(actual - expected, rate))
