"""The check of a request's key and model, from its headers and query. Pure."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Final

from router.simulator.errors import REFUSALS, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.simulator.config import SimulatorConfig

SUBPROTOCOL: Final = "realtime"
_KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."


def refusal_of(headers: Mapping[str, str], query: Mapping[str, str], config: SimulatorConfig) -> Refusal | None:
    """Return the refusal that follows the handshake, or None. The checks run in the service's order.

    Args:
        headers: the request's headers, with names in lower case.
        query: the URL's parameters.
        config: the keys and models that are accepted.
    """
    code = _wrong_shape(headers) or _wrong_key(api_key(headers), config) or _wrong_model(query.get("model", ""), config)
    return None if code is None else REFUSALS[code]


def api_key(headers: Mapping[str, str]) -> str:
    """Return the key of the Authorization header, or else the key of the subprotocols, or else ""."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    return next((name.removeprefix(_KEY_SUBPROTOCOL) for name in offered if name.startswith(_KEY_SUBPROTOCOL)), "")


def _wrong_shape(headers: Mapping[str, str]) -> str | None:
    return "beta_api_shape_disabled" if "realtime" in headers.get("openai-beta", "") else None


def _wrong_key(key: str, config: SimulatorConfig) -> str | None:
    if config.required_key is not None and key != config.required_key:
        return "invalid_api_key"
    return next((code for prefix, code in config.key_refusals.items() if key.startswith(prefix)), None)


def _wrong_model(model: str, config: SimulatorConfig) -> str | None:
    if not model:
        return "missing_model"
    if any(fnmatch.fnmatchcase(model, pattern) for pattern in config.models):
        return None
    # The service distinguishes a model of another kind from a model that does not exist.
    return "invalid_model" if model.startswith("gpt-") else "model_not_found"
