"""The spec of a session: the limits of its connections."""

import msgspec

from actors.connections.base import ConnectionLimits
from router import Deadlines, Limits, RouterConfig
from router.assembly.factory import JOINED_AUDIO_BYTES, SessionFactory
from router.hooks import Hooks
from router.tools.registry import FunctionRegistry


def test_a_connection_has_the_engine_s_own_limits_unless_the_configuration_changes_them():
    factory = SessionFactory(RouterConfig(), FunctionRegistry(), Hooks())
    assert factory.limits == ConnectionLimits(join_binary_bytes=JOINED_AUDIO_BYTES, footprint=factory.footprint)
    client_limits = msgspec.structs.replace(factory.limits, max_text_bytes=1024 * 1024)
    assert factory.client_limits == client_limits
    changed = RouterConfig(limits=Limits(write_buffer_bytes=70_000), deadlines=Deadlines(close_s=3.0))
    limits = SessionFactory(changed, FunctionRegistry(), Hooks()).limits
    assert (limits.write_buffer_bytes, limits.close_timeout_s) == (70_000, 3.0)
