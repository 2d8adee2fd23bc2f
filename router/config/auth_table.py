"""The file's table `[auth]`: its reading, the rules between its keys, its printing."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from router.config import auth
from router.config.auth import Auth, Jwt, Token
from router.config.parsers import file_path, seconds, secret, switch, text
from router.config.provenance import SourcedValue, checked, did_you_mean, line, refuse_unknown
from router.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

FIELD: Final = "auth"

_TOKENS: Final = "auth.tokens"
VARIABLE_TOKENS: Final = "auth.tokens of the variable"
"""The key of the tokens of `ROUTER_TOKENS`, which are added to those of the file."""

_TABLE: Final[dict[str, Callable[[Any], Any]]] = {
    "kinds": auth.kinds,
    "callable": auth.function_place,
    "secret": secret,
}
_TOKEN: Final[dict[str, Callable[[Any], Any]]] = {
    "sha256": auth.sha256,
    "expires": auth.moment,
    "policy": text,
    "admin": switch,
}
_JWT: Final[dict[str, Callable[[Any], Any]]] = {
    "key": auth.key_text,
    "key_file": file_path,
    "jwks": file_path,
    "algorithms": auth.algorithms,
    "audience": auth.one_or_more,
    "issuer": auth.one_or_more,
    "leeway_s": seconds(0, 3600),
    "policy": text,
    "policy_claim": text,
}

Sourced = dict[str, SourcedValue]


# From a file.


def read(written: Any, path: str, read_file: Callable[[str, str], str]) -> Sourced:
    """Return the values of a file's table `[auth]`, by their full keys, such as `auth.jwt.issuer`.

    Args:
        written: the table, as the file has it.
        path: the file.
        read_file: takes the path of another file and the name of the setting with this path; returns the file's text.

    Raises:
        ConfigError: an unknown key, or a bad value.
    """
    table = _table_of(written, FIELD, path)
    sourced = _tokens(_table_of(table.pop("tokens", {}), _TOKENS, path), path)
    if "jwt" in table:
        sourced.update(_jwt(_table_of(table.pop("jwt"), "auth.jwt", path), path, read_file))
    sourced.update(_values(table, FIELD, _TABLE, path, "tokens", "jwt"))
    return sourced


def _table_of(written: Any, name: str, path: str) -> dict[str, Any]:
    if not isinstance(written, dict):
        raise ConfigError(source=path, name=name, problem=f"must be a table: [{name}]")
    return dict(written)


def _values(
    table: Mapping[str, Any], name: str, parsers: Mapping[str, Callable[[Any], Any]], path: str, *tables: str
) -> Sourced:
    for key in table:
        refuse_unknown(key, [*parsers, *tables], path, f"setting of [{name}]", f"{name}.")
    return {f"{name}.{key}": checked(parsers[key], value, f"{name}.{key}", path) for key, value in table.items()}


def _tokens(tables: Mapping[str, Any], path: str) -> Sourced:
    sourced: Sourced = {}
    tokens = []
    for name, written in tables.items():
        place = f"{_TOKENS}.{name}"
        checked(auth.token_name, name, place, path)
        values = _values(_table_of(written, place, path), place, _TOKEN, path)
        if f"{place}.sha256" not in values:
            problem = "is missing: `switchboard token new` prints a token and its SHA-256"
            raise ConfigError(source=path, name=f"{place}.sha256", problem=problem)
        given = {key.rpartition(".")[2]: it.value for key, it in values.items()}
        tokens.append(
            Token(
                name=name,
                sha256=given["sha256"],
                policy=given.get("policy"),
                expires_s=given.get("expires"),
                is_admin=given.get("admin", False),
            )
        )
        sourced.update(values)
    return {**sourced, _TOKENS: SourcedValue(tuple(tokens), _TOKENS, path)} if tokens else {}


def _jwt(table: Mapping[str, Any], path: str, read_file: Callable[[str, str], str]) -> Sourced:
    place = "auth.jwt"
    values = _values(table, place, _JWT, path)
    given = {key.rpartition(".")[2]: it.value for key, it in values.items()}
    if len({"key", "key_file", "jwks"} & set(given)) != 1:
        raise ConfigError(source=path, name=place, problem="needs one of key, key_file and jwks")
    if "key_file" in given:
        name = f"{place}.key_file"
        given["key"] = checked(auth.key_text, read_file(given.pop("key_file"), name), name, path).value
    return {**values, place: SourcedValue(Jwt(**given), place, path)}


# All sources together.


def resolve(sourced: Sourced, *, has_hook: bool = False) -> Sourced:
    """Return the values. If one of them belongs to `[auth]`, add the resulting `Auth` under the key `auth`.

    With `has_hook` a function of the program authenticates, so the kind `callable` needs no function of the file.

    Raises:
        ConfigError: a kind lacks the setting with which it checks credentials.
    """
    found = {key: it for key, it in sourced.items() if key.startswith(f"{FIELD}.")}
    if not found:
        return sourced
    table = _auth_of(found)
    needed = {"token": bool(table.tokens), "jwt": table.jwt is not None, "callable": bool(table.function) or has_hook}
    for kind in table.kinds:
        if not needed.get(kind, True):
            where = found["auth.kinds"]
            problem = f"has {kind}, which needs {_NEEDS[kind]}"
            raise ConfigError(source=where.source, name=where.name, problem=problem)
    first = found.get("auth.kinds") or next(iter(found.values()))
    return {**sourced, FIELD: SourcedValue(table, first.name, first.source)}


_NEEDS: Final = {
    "token": "tokens: set ROUTER_TOKENS, or [auth.tokens.NAME] in the file",
    "jwt": "the table [auth.jwt] in the file",
    "callable": "a function: set `callable` in the table [auth], or ROUTER_AUTH_CALLABLE",
}


def _auth_of(found: Sourced) -> Auth:
    def value(name: str, default: Any = None) -> Any:
        return found[name].value if name in found else default

    tokens = {token.name: token for token in (*value(_TOKENS, ()), *value(VARIABLE_TOKENS, ()))}
    jwt, function = value("auth.jwt"), value("auth.callable")
    implied = [kind for kind, has in (("token", tokens), ("jwt", jwt), ("callable", function)) if has]
    kinds = value("auth.kinds", tuple(implied))
    return Auth(
        kinds=() if kinds == ("none",) else kinds,
        tokens=tuple(tokens.values()),
        jwt=jwt,
        function=function,
        secret=value("auth.secret"),
    )


def check_policies(table: Auth, policies: Collection[str], sourced: Mapping[str, SourcedValue]) -> None:
    """Raise `ConfigError` if a credential names a policy that does not exist."""
    named = {f"{_TOKENS}.{token.name}.policy": token.policy for token in table.tokens}
    if table.jwt is not None:
        named["auth.jwt.policy"] = table.jwt.policy
    for place, policy in named.items():
        if policy is not None and policy not in policies:
            source = sourced[place].source if place in sourced else "the configuration"
            problem = f"is {policy}, and there is no table [policies.{policy}]{did_you_mean(policy, policies)}"
            raise ConfigError(source=source, name=place, problem=problem)


# For `--check`.


def describe(table: Auth, sourced: Mapping[str, SourcedValue]) -> Iterator[str]:
    """Yield the table `[auth]` as lines of a file, each with its source. No line contains a credential."""
    yield from ("", f"[{FIELD}]", line("kinds", table.kinds or ("none",), sourced.get("auth.kinds")))
    for key, value in (("callable", table.function), ("secret", table.secret)):
        yield line(key, value, sourced.get(f"{FIELD}.{key}"))
    for token in table.tokens:
        # The token is printed as a comment, because a file cannot set it without its hash.
        where = sourced.get(f"{_TOKENS}.{token.name}.sha256") or sourced.get(VARIABLE_TOKENS)
        yield f"# the token {token.name}{_ending(token)}  # {where.name}, {where.source}" if where else ""
    if table.jwt is not None:
        place = "auth.jwt"
        yield f"# [{place}]  # {sourced[place].source}"
        lines = (
            line(key.rpartition(".")[2], it.value, it) for key, it in sourced.items() if key.startswith(f"{place}.")
        )
        yield from (f"# {each.removeprefix('# ')}" for each in lines)


def _ending(token: Token) -> str:
    if token.expires_s is None:
        return ""
    return f" until {dt.datetime.fromtimestamp(token.expires_s, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
