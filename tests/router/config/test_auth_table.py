"""The table `[auth]`, its variables and flags, and the refusal of a start that anybody could reach."""

import pytest

from router.config.auth import Auth, digest
from router.config.command_line import describe, parse_command_line
from router.config.keywords import config_of
from router.config.model import RouterConfig
from router.errors import ConfigError
from tests.support.data.configuration import Files, configure, from_file, refusal, refusal_of_file

HASH = digest("of-the-file")
TOKENS = f"""
[auth.tokens.carol]
sha256 = "{HASH}"
expires = 2030-01-01T00:00:00Z
policy = "kiosk"
admin = true
"""
POLICIES = """
[policies.kiosk]
voice = { deny = true }
"""
JWT = """
[auth.jwt]
key_file = "key.pem"
algorithms = ["RS256"]
audience = "voice"
issuer = ["https://a.example", "https://b.example"]
leeway_s = 5
"""
PEM = "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n"


def names(config):
    return [token.name for token in config.auth.tokens]


# Who decides.


def test_without_a_setting_every_client_of_this_machine_may_come_in():
    assert configure().auth == Auth()


def test_a_static_token_of_the_file_has_a_name_a_policy_an_expiry_and_a_right():
    (token,) = from_file(TOKENS + POLICIES).auth.tokens
    assert (token.name, token.policy, token.is_admin, token.expires_s) == ("carol", "kiosk", True, 1893456000.0)
    assert token.sha256.reveal() == HASH


def test_tokens_of_the_variable_join_those_of_the_file_and_replace_those_of_their_name():
    config = from_file(TOKENS + POLICIES, env={"ROUTER_TOKENS": "alice=one,carol=two"})
    assert names(config) == ["carol", "alice"]
    assert config.auth.tokens[0].sha256.reveal() == digest("two")


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ({"env": {"ROUTER_TOKENS": "alice=one"}}, ("token",)),
        ({"env": {"ROUTER_AUTH_CALLABLE": "a:b"}}, ("callable",)),
        ({"env": {"ROUTER_TOKENS": "alice=one", "ROUTER_AUTH": "token"}}, ("token",)),
        ({"env": {"ROUTER_TOKENS": "alice=one", "ROUTER_AUTH": "none"}}, ()),
    ],
)
def test_what_is_set_up_is_demanded_unless_the_kinds_are_listed(given, kinds):
    assert configure(**given).auth.kinds == kinds


def test_the_flag_may_be_repeated_and_replaces_the_kinds_of_the_file():
    text = '[auth]\nkinds = ["token"]\n' + TOKENS + JWT + POLICIES
    config = from_file(text, "--auth", "jwt", "--auth", "token", key_pem=PEM)
    assert config.auth.kinds == ("jwt", "token")
    assert from_file(text, key_pem=PEM).auth.kinds == ("token",)


def test_a_key_file_is_read_and_never_shown():
    config = from_file(JWT, key_pem=PEM)
    assert config.auth.jwt.key.reveal() == PEM.strip()
    assert (config.auth.jwt.audience, config.auth.jwt.leeway_s) == (("voice",), 5.0)
    assert "BEGIN" not in repr(config)
    assert config.secrets == (PEM.strip(),)


def test_a_program_gives_the_same_table_by_keyword():
    config = config_of({"auth": {"tokens": {"carol": {"sha256": HASH}}}}, pytest.fail)
    assert names(config) == ["carol"]
    with pytest.raises(ConfigError, match=r"auth\.jwt\.key_file \(Router\(\.\.\.\)\) names a file"):
        config_of({"auth": {"jwt": {"key_file": "key.pem"}}}, pytest.fail)


def test_a_function_of_the_program_satisfies_the_kind_callable():
    auth = {"auth": {"kinds": ["callable"]}}
    assert config_of(auth, pytest.fail, has_hook=True).auth.kinds == ("callable",)
    with pytest.raises(ConfigError, match="needs a function"):
        config_of(auth, pytest.fail)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("auth = 5", "auth (a.toml) must be a table: [auth]"),
        ("[auth]\nkind = 'token'", "auth.kind (a.toml) is not a setting of [auth]; did you mean kinds?"),
        ("[auth]\nkinds = ['open']", "auth.kinds (a.toml) must be token, jwt, callable or none, not 'open'"),
        ("[auth]\nkinds = ['token']", "auth.kinds (a.toml) has token, which needs tokens"),
        ("[auth]\nkinds = ['jwt']", "auth.kinds (a.toml) has jwt, which needs the table [auth.jwt]"),
        ("[auth]\ntokens = 5", "auth.tokens (a.toml) must be a table"),
        ("[auth.tokens.carol]\nsha256 = 'abc'", "auth.tokens.carol.sha256 (a.toml) must be the SHA-256"),
        ("[auth.tokens.carol]\npolicy = 'x'", "auth.tokens.carol.sha256 (a.toml) is missing"),
        ("[auth.tokens.carol]\nsha = 'abc'", "auth.tokens.carol.sha (a.toml) is not a setting of [auth.tokens.carol]"),
        ('[auth.tokens."a b"]\n', "auth.tokens.a b (a.toml) must have at most 64"),
        (
            f"[policies.kiosk]\n[auth.tokens.carol]\nsha256 = '{HASH}'\npolicy = 'kisok'",
            "auth.tokens.carol.policy (a.toml) is kisok, and there is no table [policies.kisok]; did you mean kiosk?",
        ),
        ("[auth.jwt]\nkey = 'x'\npolicy = 'gone'", "auth.jwt.policy (a.toml) is gone, and there is no table"),
        ("[policies.kiosk]\nmodle = { deny = true }", "policies (a.toml) has kiosk.modle, which is no field of a"),
        ("[auth.jwt]\nissuer = 'x'", "auth.jwt (a.toml) needs one of key, key_file and jwks"),
        ("[auth.jwt]\nkey = 'x'\njwks = 'y'", "auth.jwt (a.toml) needs one of key, key_file and jwks"),
        ("[auth.jwt]\nkey_file = 'gone.pem'", "auth.jwt.key_file (a.toml) cannot be read: No such file"),
        ("[auth.jwt]\nkey = 'x'\nalgorithms = ['none']", "auth.jwt.algorithms (a.toml) must be HS256"),
    ],
)
def test_an_error_names_its_place_in_the_table(text, sentence):
    assert str(refusal_of_file(text)).startswith(sentence)


def test_a_token_that_was_given_where_its_hash_belongs_is_not_shown():
    assert "s3cret" not in str(refusal_of_file("[auth.tokens.carol]\nsha256 = 's3cret'"))
    assert "s3cret" not in str(refusal(env={"ROUTER_TOKENS": "s3cret"}))


# The start that anybody could reach.


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "voice.example"])
def test_another_host_than_loopback_needs_authentication_or_a_flag(host):
    sentence = str(refusal("--host", host))
    assert sentence.startswith(f"--host (the command line) is {host}, which other machines reach")
    assert "--insecure" in sentence
    assert refusal(env={"ROUTER_HOST": host}).name == "ROUTER_HOST"
    assert configure("--host", host, "--insecure").host == host
    assert configure("--host", host, "--auth", "token", env={"ROUTER_TOKENS": "alice=one"}).host == host
    assert refusal("--host", host, "--auth", "none").name == "--host"


def test_a_loopback_host_needs_none():
    assert configure("--host", "127.0.0.2") == RouterConfig(host="127.0.0.2")
    assert configure("--host", "localhost").host == "localhost"


def test_the_address_for_administrators_is_held_to_the_same_rule():
    assert refusal("--admin-bind", "0.0.0.0:9090").name == "--admin-bind"
    assert configure("--admin-bind", "127.0.0.1:9090").admin_bind == "127.0.0.1:9090"


# --check.


def test_describe_prints_the_table_without_any_credential():
    text = '[auth]\nsecret = "signs-grants"\n' + TOKENS + JWT + POLICIES
    start = parse_command_line(["--config", "a.toml"], {"ROUTER_TOKENS": "alice=one"}, Files(a_toml=text, key_pem=PEM))
    printed = describe(start)
    for line in (
        "[auth]",
        'kinds = ["token", "jwt"]  # default',
        '# secret = "***"  # auth.secret, a.toml',
        "# the token carol until 2030-01-01T00:00:00Z  # auth.tokens.carol.sha256, a.toml",
        "# the token alice  # ROUTER_TOKENS, the environment",
        "# [auth.jwt]  # a.toml",
        '# key_file = "key.pem"  # auth.jwt.key_file, a.toml',
    ):
        assert line in printed.splitlines()
    assert not any(secret in printed for secret in (HASH, digest("one"), "signs-grants", "BEGIN"))
