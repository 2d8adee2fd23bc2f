"""The configuration itself: the upstream that it leads to, the key that is never shown, the documented defaults."""

from pathlib import Path

import msgspec
import pytest

from router.config.model import Deadlines, Limits, RouterConfig
from router.config.upstream import Upstream
from router.errors import ConfigError
from router.secrets import Secret
from router.session.options import SessionOptions
from tests.support.data.configuration import KEY, configure, documented, refusal

# The upstream.


@pytest.mark.parametrize(
    ("env", "upstream"),
    [
        ({}, "simulator"),
        ({"OPENAI_API_KEY": KEY}, "openai"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_REALTIME_URL": "simulator"}, "simulator"),
        ({"OPENAI_REALTIME_URL": "ws://127.0.0.1:9000"}, "ws://127.0.0.1:9000"),
    ],
)
def test_the_default_upstream_is_openai_with_a_key_and_else_the_simulator(env, upstream):
    assert configure(env=env).upstream == upstream


@pytest.mark.parametrize("given", [{"env": {"OPENAI_REALTIME_URL": "openai"}}, {"argv": ["--upstream", "openai"]}])
def test_openai_without_a_key_stops_the_start_and_names_the_remedy(given):
    error = refusal(*given.get("argv", []), env=given.get("env"))
    assert "OPENAI_API_KEY" in str(error)
    assert error.name in ("--upstream", "OPENAI_REALTIME_URL")


def test_the_url_of_openai_names_the_model():
    config = configure("--model", "a/bc", env={"OPENAI_API_KEY": KEY})
    assert config.upstream_url() == "wss://api.openai.com/v1/realtime?model=a%2Fbc"
    assert config.upstream_url("other") == "wss://api.openai.com/v1/realtime?model=other"


def test_the_simulator_has_no_url_before_it_runs():
    with pytest.raises(ConfigError, match="once it runs"):
        RouterConfig().upstream_url()


def test_without_a_list_there_is_the_one_upstream_with_the_key():
    assert RouterConfig().all_upstreams() == (Upstream(url="simulator"),)
    config = RouterConfig(upstream="ws://h", openai_api_key=Secret(KEY))
    assert config.all_upstreams() == (Upstream(url="ws://h", api_key=Secret(KEY)),)


# The key.


def test_the_key_is_shown_by_nothing_but_reveal():
    config = configure(env={"OPENAI_API_KEY": f" {KEY} "})
    assert config.openai_api_key is not None
    assert config.openai_api_key.reveal() == KEY
    shown = f"{config} {config!r} {config.openai_api_key} {config.openai_api_key!r}"
    assert KEY not in shown
    assert config.secrets == (KEY,)


def test_a_key_in_the_query_of_the_url_is_hidden_and_known_as_a_secret():
    config = configure("--upstream", "wss://h/x?api-key=0123456789&model=m&v=1")
    assert config.upstream_label == "wss://h/x?api-key=***&model=m&v=***"
    assert config.secrets == ("0123456789",)


# Defaults stand once.


@pytest.mark.parametrize(("heading", "table"), [("Deadlines", Deadlines), ("Limits", Limits)])
def test_the_documentation_lists_every_deadline_and_limit_with_its_default(heading, table):
    expected = [[key, f"{value:g}" if heading == "Deadlines" else str(value)] for key, value in _numbers(table)]
    assert [cells[:2] for cells in documented(heading)] == expected
    assert all(cells[2] for cells in documented(heading))


def _numbers(table):
    return [
        (key, int(value) if isinstance(value, float) and value.is_integer() else value)
        for key, value in msgspec.structs.asdict(table()).items()
    ]


@pytest.mark.parametrize("default", ["gpt-realtime-2.1", "gpt-realtime-whisper"])
def test_a_default_model_stands_in_one_place_of_the_product(default):
    root = Path(__file__).resolve().parents[3]
    product = [*(root / "actors").rglob("*.py"), *(root / "router").rglob("*.py")]
    found = [path.relative_to(root).as_posix() for path in product if f'= "{default}"' in path.read_text()]
    assert found == ["router/config/model.py"]


def test_a_session_has_no_default_of_its_own_for_a_setting():
    fields, defaults = SessionOptions.__struct_fields__, SessionOptions.__struct_defaults__
    pairs = zip(reversed(fields), reversed(defaults), strict=False)
    with_default = {name for name, default in pairs if default is not msgspec.NODEFAULT}
    neutral = {"models", "tool_hosts"}
    assert with_default & {*RouterConfig.__struct_fields__} == neutral
    assert [getattr(RouterConfig(), name) for name in sorted(neutral)] == [(), ()]
