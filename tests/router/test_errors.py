"""The errors that the router raises."""

import pytest

from router.errors import ConfigError, EndpointError, HandlerError, RouterError, StartError, ToolError


def test_a_config_error_is_a_router_error_with_its_facts():
    error = ConfigError(source=".env", name="ROUTER_PORT", problem="must be a number")
    assert isinstance(error, RouterError)
    assert (error.source, error.name, error.problem) == (".env", "ROUTER_PORT", "must be a number")
    assert str(error) == "ROUTER_PORT (.env) must be a number"


@pytest.mark.parametrize("error", [StartError, ToolError, EndpointError, HandlerError])
def test_every_error_is_a_router_error(error):
    assert issubclass(error, RouterError)


@pytest.mark.parametrize("error", [EndpointError, HandlerError])
def test_every_failure_of_a_function_is_a_tool_error(error):
    assert issubclass(error, ToolError)
