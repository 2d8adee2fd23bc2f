"""The settings of authentication."""

from __future__ import annotations

from typing import Final

from router.config import auth, auth_table
from router.config.parsers import (
    secret,
)
from router.config.setting import Setting

AUTH_SETTINGS: Final = (
    Setting(
        name="auth.kinds",
        parser=auth.kinds,
        help="kind of authentication: token, jwt, callable or none; may be repeated",
        flag="--auth",
        is_repeatable=True,
        env=("ROUTER_AUTH",),
        default_text="the kinds that are set up, else none",
    ),
    Setting(
        name=auth_table.VARIABLE_TOKENS,
        parser=auth.named_tokens,
        help="static tokens in clear: alice=TOKEN,bob=TOKEN",
        env=("ROUTER_TOKENS",),
        file_key="auth.tokens",
        default_text="none",
    ),
    Setting(
        name="auth.callable",
        parser=auth.function_place,
        help="function that authenticates: module:function",
        env=("ROUTER_AUTH_CALLABLE",),
        default_text="none",
    ),
    Setting(
        name="auth.secret",
        parser=secret,
        help="secret that signs short-lived tokens, the same on every machine",
        env=("ROUTER_AUTH_SECRET",),
        default_text="made of the other credentials",
    ),
)
"""The rows of the table `[auth]`. The name of a row is its key there.

`router.config.auth_table` makes one `Auth` of them.
"""
