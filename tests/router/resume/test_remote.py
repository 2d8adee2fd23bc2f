"""The snapshots of lost calls in Redis."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from router.resume.remote import PREFIX, RemoteSnapshots

ROOT = Path(__file__).resolve().parents[3]
ONE, TWO = (str(uuid.UUID(int=number)) for number in (1, 2))
KEY = bytes(range(32))


class Redis:
    """The commands of Redis that are used, with texts as its client returns them."""

    def __init__(self):
        self.kept = {}
        self.lives_ms = {}

    def set(self, name, text, *, px):
        self.kept[name], self.lives_ms[name] = text, px

    def getdel(self, name):
        return self.kept.pop(name, None)


def test_another_machine_with_the_same_key_takes_a_snapshot_once():
    redis = Redis()
    RemoteSnapshots(lambda: redis, KEY).put(ONE, b"words", 120.0)
    assert redis.lives_ms == {PREFIX + ONE: 120_000}
    other = RemoteSnapshots(lambda: redis, KEY)
    assert [other.take(it) for it in (TWO, ONE, ONE)] == [None, b"words", None]


def test_no_reader_of_redis_finds_the_words():
    redis = Redis()
    RemoteSnapshots(lambda: redis, KEY).put(ONE, b"secret words" * 9, 120.0)
    assert "secret" not in str(redis.kept)


def test_a_snapshot_of_another_key_or_another_session_or_none_at_all_is_not_read():
    redis = Redis()
    RemoteSnapshots(lambda: redis, KEY).put(ONE, b"words", 120.0)
    stored = redis.kept[PREFIX + ONE]
    redis.kept[PREFIX + TWO] = stored
    assert RemoteSnapshots(lambda: redis, KEY).take(TWO) is None
    assert RemoteSnapshots(lambda: redis, bytes(32)).take(ONE) is None
    for broken in ("", "é", "AAAA", stored[:-4]):
        redis.kept[PREFIX + ONE] = broken
        assert RemoteSnapshots(lambda: redis, KEY).take(ONE) is None


@pytest.mark.slow
def test_a_router_without_redis_does_not_load_the_library_of_its_cipher():
    program = "import sys; from router import Router; Router(); sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
