"""What the engine is told of a session."""

from router import Request, RouterConfig, Secret
from router.hooks import Hooks
from router.specs import Specs
from router.tools.toolbox import Toolbox

KEY = "sk-test-0123456789abcdef"


def spec_of(config):
    request = Request(path="/openai", profile="openai", query={}, headers={})
    specs = Specs(config, Toolbox(most_bytes=1), Hooks())
    return specs.of("s", request, None, perform=print, on_end=print)


def test_a_key_that_begins_like_another_is_redacted_to_its_end():
    config = RouterConfig(upstream=f"ws://h/?key={KEY}-of-theirs", openai_api_key=Secret(KEY))
    redact = spec_of(config).machine.options.redact
    assert redact(f"{KEY}, {KEY}-of-theirs") == "[redacted], [redacted]"
