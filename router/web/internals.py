"""The undocumented parts of gunicorn that the router uses: one list, and a check that the installed version has them.

gunicorn documents its settings, its server hooks and the class of a worker, but not the parts below. Without one of
them the router would fail during a call, or gunicorn would never call a method of `worker`.
"""

from __future__ import annotations

import importlib
import operator
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSIONS: Final = "gunicorn>=27,<28"
"""The range of gunicorn's versions, the same as in setup.cfg."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Names that must exist in one place of gunicorn."""

    module: str
    place: str
    """The name of a class or function in the module; empty for the module itself."""
    names: str
    """The names, separated by spaces: attributes of a class or module, or attributes and keys that a function sets."""


ARBITER: Final = Parts(
    module="gunicorn.arbiter",
    place="Arbiter",
    names=(
        "APP_LOAD_ERROR LISTENERS WORKERS WORKER_BOOT_ERROR handle_hup "
        "handle_int handle_term handle_usr2 kill_worker kill_workers manage_workers murder_workers "
        "num_workers reap_workers run signal spawn_worker stop"
    ),
)
ARBITER_SETS: Final = Parts(module="gunicorn.arbiter", place="Arbiter.__init__", names="SIG_QUEUE log worker_age")
WORKER: Final = Parts(
    module="gunicorn.workers.gthread",
    place="ThreadWorker",
    names=(
        "_cap_keepalive _keepalive_after accept enqueue_req finish_request handle handle_exit handle_quit handle_usr1 "
        "init_process init_signals is_parent_alive murder_pending notify run set_accept_enabled "
        "wait_for_and_dispatch_events"
    ),
)
WORKER_SETS: Final = Parts(
    module="gunicorn.workers.gthread",
    place="ThreadWorker.__init__",
    names="keepalived_conns max_keepalived method_queue nr_conns poller tpool worker_connections",
)
ANY_WORKER_SETS: Final = Parts(
    module="gunicorn.workers.base",
    place="Worker.__init__",
    names="aborted age alive app booted cfg pid ppid sockets tmp",
)
CONNECTION: Final = Parts(module="gunicorn.workers.gthread", place="TConn", names="close init")
CONNECTION_SETS: Final = Parts(
    module="gunicorn.workers.gthread", place="TConn.__init__", names="client data_ready initialized parser sock"
)
UNREADER: Final = Parts(module="gunicorn.http.unreader", place="SocketUnreader", names="chunk take_buffered unread")
UNREADER_SETS: Final = Parts(module="gunicorn.http.unreader", place="SocketUnreader.__init__", names="sock")
PARSER: Final = Parts(module="gunicorn.http.parser", place="RequestParser", names="finish_body")
PARSER_SETS: Final = Parts(module="gunicorn.http.parser", place="Parser.__init__", names="unreader")
QUEUE: Final = Parts(module="gunicorn.workers.gthread", place="PollableMethodQueue", names="defer")
LOGGER: Final = Parts(module="gunicorn.glogging", place="Logger", names="debug exception info setup warning")
LOGGER_SETS: Final = Parts(module="gunicorn.glogging", place="Logger.__init__", names="error_log")
LOGGER_SETUP: Final = Parts(module="gunicorn.glogging", place="Logger.setup", names="_access_log_enabled cfg")
SOCKETS: Final = Parts(module="gunicorn.sock", place="", names="TCP6Socket TCPSocket close_sockets ssl_wrap_socket")
ENVIRON: Final = Parts(module="gunicorn.http.wsgi", place="default_environ", names="gunicorn.socket")
"""The key of the environ that `actors.connections.handover` reads."""

OWN_SERVER: Final = (
    ARBITER,
    ARBITER_SETS,
    WORKER,
    WORKER_SETS,
    ANY_WORKER_SETS,
    CONNECTION,
    CONNECTION_SETS,
    UNREADER,
    UNREADER_SETS,
    PARSER,
    PARSER_SETS,
    QUEUE,
    LOGGER,
    LOGGER_SETS,
    LOGGER_SETUP,
    SOCKETS,
    ENVIRON,
)
"""The parts that the server of the command uses, in `router.web.server` and `router.web.worker`."""

HOST: Final = (ANY_WORKER_SETS,)
"""The parts that an embedded router uses, in `router.web.host`."""


def problem(parts: Iterable[Parts]) -> str:
    """Return a sentence that names the missing parts and the remedy; empty if the installed gunicorn has all."""
    missing = [name for each in parts for name in _missing(each)]
    if not missing:
        return ""
    version = importlib.import_module("gunicorn").__version__
    return f"gunicorn {version} has no {', '.join(missing)}, which the router uses: install {VERSIONS}"


def _missing(parts: Parts) -> Iterator[str]:
    module = importlib.import_module(parts.module)
    try:
        place = operator.attrgetter(parts.place)(module) if parts.place else module
    except AttributeError:
        yield parts.place
        return
    known = _known(place)
    owner = parts.place.removesuffix(".__init__")
    yield from (f"{owner}.{name}".removeprefix(".") for name in parts.names.split() if name not in known)


def _known(place: Any) -> set[str]:
    """Return the attributes of a class or a module, or the names and keys in the code of a function."""
    code = getattr(place, "__code__", None)
    if not isinstance(code, CodeType):
        return set(dir(place))
    keys = {key for constant in code.co_consts for key in (constant if isinstance(constant, tuple) else (constant,))}
    return {*code.co_names, *(key for key in keys if isinstance(key, str))}
