"""A route, and the settings that mean something on each front."""

from router.config.model import RouterConfig, Tuning
from router.config.route import DEFAULTS, FRONTS, NEEDS_FAILOVER, Route


def test_a_telephone_has_a_webhook_and_a_status_call_back():
    assert Route(path="/phone", front="twilio").paths == ("/phone", "/phone/voice", "/phone/status")
    assert Route(path="/own", front="openai").paths == ("/own",)


def test_every_setting_of_a_front_is_one_of_the_configuration():
    assert set(RouterConfig.__struct_fields__) >= DEFAULTS
    assert set(Tuning.__struct_fields__) <= DEFAULTS
    own = {"policy", "upstreams", "failover", "failover_agent"}
    assert all(keys <= DEFAULTS | own for keys in FRONTS.values())
    assert all(keys <= FRONTS[front] for front, keys in NEEDS_FAILOVER.items())
