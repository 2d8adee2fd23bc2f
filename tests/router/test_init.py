"""The public names of the package."""

import subprocess
import sys

import pytest

import router
from router import Response
from tests.support.processes.host_apps import ROOT

pytestmark = pytest.mark.slow


def test_every_public_name_can_be_imported():
    assert {name: getattr(router, name) for name in router.__all__}.keys() == set(router.__all__)
    with pytest.raises(AttributeError, match="Rooter"):
        _ = router.Rooter


def test_the_former_name_of_a_class_is_accepted_with_a_warning():
    with pytest.warns(DeprecationWarning, match="router.Answer is called Response now") as caught:
        assert router.Answer is Response
    assert caught[0].filename == __file__, "the warning points at the program"


def test_importing_and_making_a_router_starts_no_thread_and_opens_no_file():
    program = (
        "import os, threading\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        "from router import Router\n"
        "import router.flask, router.django\n"
        "Router()\n"
        "print(threading.active_count(), len(os.listdir('/proc/self/fd')) - before)"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["1", "0"]


@pytest.mark.parametrize("room", ["router.deepgram.codec", "router.openai.codec", "router.audio.formats"])
def test_a_pure_room_imported_alone_loads_neither_the_router_nor_a_server(room):
    program = f"import sys, {room}; print([name for name in ('router.core', 'gunicorn') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
