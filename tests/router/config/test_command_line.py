"""The sources of the configuration: every row of the table, their precedence, the sentences that stop a start."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config import auth_table, provenance, route_table, upstream_table
from router.config.command_line import describe, parse_command_line
from router.config.guard import Guard, Rule
from router.config.model import CONVERSE_PATH, GRANT_PATHS, HEALTH_PATH, READY_PATH, RouterConfig, Safety
from router.config.schema import SETTINGS, TABLES
from router.errors import ConfigError
from router.policy.table import policies
from router.secrets import Secret
from router.usage.prices import Price
from tests.support.data.configuration import KEY, Files, configure, refusal

EXAMPLES = {
    "host": ("127.0.0.2", "127.0.0.2"),
    "port": ("9001", 9001),
    "path": ("/voice", "/voice"),
    "console": ("off", False),
    "keeper": ("off", False),
    "wire_view": ("1", True),
    "simulator_voice": ("off", False),
    "simulator_llm": ("http://localhost:11434", "http://localhost:11434"),
    "simulator_llm_model": ("llama3.2", "llama3.2"),
    "simulator_llm_key": ("secret-of-a-model", Secret("secret-of-a-model")),
    "upstream": ("wss://realtime.example/v1", "wss://realtime.example/v1"),
    "openai_api_key": (KEY, Secret(KEY)),
    "model": ("gpt-realtime-mini", "gpt-realtime-mini"),
    "models": ("a, b,a", ("a", "b")),
    "turn_detection": ("manual", "manual"),
    "voice": ("cedar", "cedar"),
    "voices": ("aura-*=Ara, Joanna=coral", {"aura-*": "Ara", "joanna": "coral"}),
    "transcription_model": ("whisper-1", "whisper-1"),
    "vad_threshold": ("0.7", 0.7),
    "vad_prefix_ms": ("200", 200),
    "vad_silence_ms": ("900", 900),
    "vad_eagerness": ("low", "low"),
    "noise_reduction": ("near_field", "near_field"),
    "retention_ratio": ("0.6", 0.6),
    "max_output_tokens": ("400", 400),
    "speed": ("1.25", 1.25),
    "restarts": ("5", 5),
    "greeting": ("spoken", "spoken"),
    "interrupted_answer": ("stop", "stop"),
    "continued_text": ("whole", "whole"),
    "agents": ('{"a": {"greeting": "Hi."}}', {"a": {"greeting": "Hi."}}),
    "policies": ('{"kiosk": {"voice": {"deny": true}}}', policies({"kiosk": {"voice": {"deny": True}}})),
    "deepgram_api_key": (KEY, Secret(KEY)),
    "deepgram_agent_url": ("ws://here.example", "ws://here.example"),
    "deepgram_listen_url": ("ws://here.example", "ws://here.example"),
    "twilio_auth_token": (KEY, Secret(KEY)),
    "twilio_dtmf": ("ignore", "ignore"),
    "drain_s": ("12.5", 12.5),
    "workers": ("3", 3),
    "dispatchers": ("2", 2),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "guard": ({"url": "http://here/"}, Guard(url="http://here/")),
    "safety": ({"identifier": True}, Safety(identifier=True)),
    "prices": ({"m": {"text_input": 1.0}}, {"m": Price(text_input=1.0)}),
    "usage_log": ("/var/log/usage.jsonl", "/var/log/usage.jsonl"),
    "record": ("/var/log/recordings", "/var/log/recordings"),
    "record_content": ("1", True),
    "record_audio": ("1", True),
    "record_rate": ("0.25", 0.25),
    "record_principals": ("ada, bob", ("ada", "bob")),
    "record_max_bytes": ("5000000", 5_000_000),
    "wire_view_max_bytes": ("5000000", 5_000_000),
    "otel": ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
    "log_content": ("1", True),
    "tool_hosts": ("api.example,http://b.example", ("https://api.example", "http://b.example")),
    "tool_networks": ("10.0.0.0/8,::1", ("10.0.0.0/8", "::1/128")),
    "ca_file": ("ca.pem", "ca.pem"),
    "allow_origins": (
        "https://app.example,http://*.dev.example:3000",
        ("https://app.example", "http://*.dev.example:3000"),
    ),
    "allow_hosts": ("voice.example,*.example", ("voice.example", "*.example")),
    "trusted_proxies": ("10.0.0.0/8,::1", ("10.0.0.0/8", "::1/128")),
    "insecure": ("on", True),
    "tls_cert": ("cert.pem", "cert.pem"),
    "tls_key": ("key.pem", "key.pem"),
    "tls_client_ca": ("ca.pem", "ca.pem"),
    "admin_bind": ("[::1]:9090", "[::1]:9090"),
}

IN_A_FILE = {
    name: value if isinstance(value, bool | int | float) else written for name, (written, value) in EXAMPLES.items()
}

REFUSED = {
    "host": ["", "two words", "tab\there"],
    "port": ["http", "-1", "65536", "80.5", "", "1e3"],
    "path": [
        "openai",
        "/openai/",
        "/",
        "//",
        "/open ai",
        "/a?b",
        "/%41",
        CONVERSE_PATH,
        HEALTH_PATH,
        READY_PATH,
        *GRANT_PATHS,
    ],
    "upstream": [
        "",
        "opnai",
        "http://host",
        "https://host/v1",
        "ws://",
        "ws:///path",
        "ws://host:99999",
        "ws://[::1",
        "ws://host/#fragment",
        "ws://host/a b",
        "ws://höst/",
        "wss://acme.openai.azure.com/openai/v1/realtime?api-version=2025-04-01-preview",
        "wss://acme.OpenAI.Azure.com/openai/realtime?API-Version=x&deployment=d",
    ],
    "model": ["", "two words"],
    "turn_detection": ["vad", "SERVER_VAD", ""],
    "restarts": ["-1", "21", "none", "1.5"],
    "greeting": ["loud", "Text", ""],
    "interrupted_answer": ["resume", "Continue", ""],
    "continued_text": ["all", "Whole", ""],
    "drain_s": ["-1", "3601", "long"],
    "workers": ["0", "257", "many"],
    "dispatchers": ["0", "1.0"],
    "log_level": ["loud"],
    "log_format": ["xml"],
    "console": ["maybe", "2"],
    "keeper": ["maybe"],
    "wire_view": ["perhaps"],
    "allow_origins": ["app.example", "null", "https://", "https://a b", "https://app.example/path"],
    "allow_hosts": ["voice.example:8080", "https://voice.example", "a b", "*.*"],
    "trusted_proxies": ["proxy.example", "10.0.0.1/8", "any"],
    "insecure": ["perhaps"],
    "admin_bind": ["", "9090", "localhost", "localhost:", "::1:90", "a b:1", "localhost:65536"],
    "simulator_voice": ["perhaps"],
    "simulator_llm": ["", "localhost:11434", "ws://host", "http://", "http://user:pass@host", "http://host/?key=a"],
}

WRONG = {name: next(filter(None, bad)) for name, bad in REFUSED.items()}
"""One invalid value for each, which a variable can hold."""

FILE_REFUSED = [
    ("port", "port = true"),
    ("console", "console = 5"),
    ("port", "port = 80.0"),
    ("host", "host = 5"),
    ("models", 'models = ["a", 5]'),
    ("models", "models = 5"),
    ("upstream", "upstream = []"),
    ("turn_detection", "turn_detection = {}"),
    ("openai_api_key", 'openai_api_key = ""'),
    ("openai_api_key", "openai_api_key = 5"),
    ("voices", "voices = 5"),
    ("voices", 'voices = "marin"'),
    ("voices", 'voices = "a=b,=c"'),
    ("voices", 'voices = "a=b c"'),
    ("voices", '[voices]\n"aura-*" = 5'),
    ("guard", "[guard]\nrule = 5"),
    ("safety", "[safety]\nidentifier = 1"),
    ("prices", "prices = 5"),
    ("prices", "[prices.m]\ntext_in = 5"),
    ("deadlines", "deadlines = 5"),
    ("deadlines.dial_s", "[deadlines]\ndial_s = 0"),
    ("deadlines.dial_s", "[deadlines]\ndial_s = nan"),
    ("deadlines.dial_s", "[deadlines]\ndial_s = inf"),
    ("deadlines.dial_s", "[deadlines]\ndial_s = true"),
    ("deadlines.close_s", "[deadlines]\nclose_s = 61"),
    ("deadlines.restart_s", "[deadlines]\nrestart_s = 0.01"),
    ("deadlines.rollover_after_s", "[deadlines]\nrollover_after_s = 0"),
    ("deadlines.rollover_interval_s", "[deadlines]\nrollover_interval_s = -1"),
    ("limits.ledger_tokens", "[limits]\nledger_tokens = 0"),
    ("limits.audio_ahead_s", "[limits]\naudio_ahead_s = 0.1"),
    ("limits.pool_queue", "[limits]\npool_queue = -1"),
    ("limits.dial_threads", "[limits]\ndial_threads = true"),
    ("limits.web_threads", "[limits]\nweb_threads = 0"),
    ("limits.new_sessions", "[limits]\nnew_sessions = 5"),
    ("limits.max_sessions", "[limits]\nmax_sessions = -1"),
    ("limits.web_threads", "[limits]\nweb_threads = 2.5"),
    ("limits.write_buffer_bytes", "[limits]\nwrite_buffer_bytes = 1"),
]


def toml(name, value):
    return f"{provenance.line(name, value, None)}\n"


def flagged(row):
    return [row.flag] if row.flag_value is not None else [row.flag, EXAMPLES[row.name][0]]


def rows(has):
    return [pytest.param(row, id=row.name) for row in SETTINGS if has(row)]


# Every row.


def test_without_a_setting_all_defaults_hold():
    assert configure() == RouterConfig()


def test_the_examples_cover_the_table_and_the_table_covers_the_fields():
    fields = {field.name for field in msgspec.structs.fields(RouterConfig)}
    assert {row.name for row in SETTINGS} == set(EXAMPLES)
    lists = {upstream_table.FIELD, auth_table.FIELD, route_table.FIELD}
    assert {row.name for row in SETTINGS} | set(TABLES) | lists == fields


@pytest.mark.parametrize("row", rows(lambda row: row.flag_value is not None))
def test_a_flag_without_a_value_sets_its_field(row):
    assert EXAMPLES[row.name][1] is row.flag_value is not row.default
    assert getattr(configure(row.flag), row.name) is row.flag_value
    assert refusal(f"{row.flag}=1").name == row.flag


@pytest.mark.parametrize("row", rows(lambda row: row.flag and row.flag_value is None))
def test_a_flag_sets_its_field(row):
    written, value = EXAMPLES[row.name]
    assert getattr(configure(row.flag, written), row.name) == value
    assert getattr(configure(f"{row.flag}={written}"), row.name) == value


@pytest.mark.parametrize(("row", "name"), [(row, name) for row in SETTINGS for name in row.env])
@pytest.mark.parametrize("where", ["environment", "dotenv"])
def test_a_variable_sets_its_field(row, name, where):
    written, value = EXAMPLES[row.name]
    sourced = {"env": {name: written}} if where == "environment" else {"dotenv": f"{name}={written}\n"}
    assert getattr(configure(**sourced), row.name) == value


@pytest.mark.parametrize("row", rows(lambda row: row.parser))
def test_a_key_of_the_file_sets_its_field(row):
    file = toml(row.name, IN_A_FILE[row.name])
    assert getattr(configure("--config", "a.toml", a_toml=file), row.name) == EXAMPLES[row.name][1]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_the_file_sets_one_field_and_leaves_the_others(table):
    defaults = msgspec.structs.asdict(TABLES[table]())
    for key, default in defaults.items():
        text = {"store": "redis://here/1", "store_away": "closed"}.get(key, "5/minute")
        value = text if isinstance(default, str) else default + 1
        config = configure("--config", "a.toml", a_toml=f"[{table}]\n{toml(key, value)}")
        assert msgspec.structs.asdict(getattr(config, table)) == {**defaults, key: value}


def test_a_guard_is_printed_as_a_file_has_it():
    rules = '[[guard.rules]]\nexpression = "a.b"\non = ["user"]\n'
    line = parse_command_line(["--config", "a.toml"], {}, Files(a_toml=rules))
    again = parse_command_line(["--config", "a.toml"], {}, Files(a_toml=describe(line)))
    assert again.config.guard == line.config.guard == Guard(rules=(Rule(expression="a.b", on=("user",)),))


def test_the_password_of_redis_is_neither_shown_nor_logged():
    written = '[limits]\nstore = "redis://:hunter2hunter2@here/1"\n'
    line = parse_command_line(["--config", "a.toml"], {}, Files(a_toml=written))
    assert "hunter2" not in describe(line) + repr(line.config)
    assert "hunter2hunter2" in line.config.secrets


def test_whole_seconds_may_be_written_without_a_point_and_pings_can_be_switched_off():
    deadlines = configure("--config", "a.toml", a_toml="[deadlines]\ndial_s = 3\nping_interval_s = 0\n").deadlines
    assert (deadlines.dial_s, deadlines.ping_interval_s) == (3.0, 0.0)
    assert isinstance(deadlines.dial_s, float)


@pytest.mark.parametrize(("written", "host"), [("::1", "::1"), ("[::1]", "::1"), ("localhost", "localhost")])
def test_an_ipv6_address_may_come_in_brackets(written, host):
    assert configure("--host", written).host == host


# Precedence.


def test_flags_win_over_the_environment_over_dotenv_over_the_file_over_the_default():
    sourced = {"env": {"ROUTER_PORT": "2"}, "dotenv": "ROUTER_PORT=3\nROUTER_CONFIG=a.toml\n", "a_toml": "port = 4\n"}
    assert configure("--port", "1", **sourced).port == 1
    assert configure(**sourced).port == 2
    assert configure(**{**sourced, "env": {}}).port == 3
    assert configure(env={"ROUTER_CONFIG": "a.toml"}, a_toml=sourced["a_toml"]).port == 4
    assert configure().port == 8080


def test_dotenv_never_overrides_the_environment():
    config = configure(env={"OPENAI_API_KEY": KEY}, dotenv="OPENAI_API_KEY=another\nROUTER_VOICE=cedar\n")
    assert config.openai_api_key == Secret(KEY)
    assert config.voice == "cedar"


def test_the_router_s_own_variable_wins_over_the_older_name():
    assert configure(env={"OPENAI_PROXY_PORT": "1", "ROUTER_PORT": "2"}).port == 2


def test_the_flag_for_the_file_wins_over_the_variable():
    config = configure("--config", "b.toml", env={"ROUTER_CONFIG": "a.toml"}, a_toml="port = 1", b_toml="port = 2")
    assert config.port == 2


@pytest.mark.parametrize(
    ("env", "level"),
    [
        ({"OPENAI_PROXY_DEBUG": "1"}, "debug"),
        ({"OPENAI_PROXY_DEBUG": "true"}, "debug"),
        ({"OPENAI_PROXY_DEBUG": "0"}, "info"),
        ({"OPENAI_PROXY_DEBUG": ""}, "info"),
        ({"OPENAI_PROXY_DEBUG": "1", "ROUTER_LOG_LEVEL": "error"}, "error"),
    ],
)
def test_the_debug_switch_means_log_level_debug_unless_a_level_is_set(env, level):
    assert configure(env=env).log_level == level


@pytest.mark.parametrize("row", rows(lambda row: row.env))
def test_an_empty_variable_counts_as_unset(row):
    variables = dict.fromkeys(row.env, "")
    assert configure(env=variables) == RouterConfig()
    assert configure(dotenv="".join(f"{name}=\n" for name in variables)) == RouterConfig()


def test_a_dollar_in_dotenv_is_a_dollar():
    assert configure(dotenv="OPENAI_API_KEY=a${HOME}b\n").openai_api_key == Secret("a${HOME}b")


@pytest.mark.parametrize("error", [FileNotFoundError(2, "no"), IsADirectoryError(21, "a directory")])
def test_dotenv_is_optional(error):
    assert configure(dotenv=error) == RouterConfig()


# Errors.


def test_the_wire_view_needs_a_single_process():
    error = refusal("--wire-view", "--workers", "2")
    assert str(error) == "--wire-view (the command line) needs a single process, and workers is 2"
    assert configure("--workers", "2", env={"ROUTER_WIRE_VIEW": "0"}).workers == 2


@pytest.mark.parametrize(
    ("row", "written"), [(row, bad) for row in SETTINGS if row.flag for bad in REFUSED.get(row.name, [])]
)
def test_an_invalid_value_is_named_with_its_flag(row, written):
    error = refusal(f"{row.flag}={written}")
    assert (error.name, error.source) == (row.flag, "the command line")
    assert str(error).startswith(f"{row.flag} (the command line) ")


@pytest.mark.parametrize("row", rows(lambda row: row.name in WRONG))
@pytest.mark.parametrize("where", ["the environment", ".env"])
def test_an_invalid_value_is_named_with_its_variable_even_where_a_flag_overrides_it(row, where):
    bad = WRONG[row.name]
    sourced = {"env": {row.env[0]: bad}} if where == "the environment" else {"dotenv": f"{row.env[0]}={bad}\n"}
    error = refusal(*flagged(row), **sourced)
    assert str(error).startswith(f"{row.env[0]} ({where}) ")


@pytest.mark.parametrize(("name", "file"), FILE_REFUSED)
def test_an_invalid_value_is_named_with_its_key_and_its_file(name, file):
    error = refusal("--config", "a.toml", a_toml=file)
    assert str(error).startswith(f"{name} (a.toml) ")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--prot", "1"], "--prot (the command line) is not a flag; did you mean --port?"),
        (["--prot=1"], "--prot (the command line) is not a flag; did you mean --port?"),
        (["--upstr", "openai"], "--upstr (the command line) is not a flag; did you mean --upstream?"),
        (["serve"], "serve (the command line) is not a flag"),
        (["--port"], "--port (the command line) needs a value"),
        (["--openai-api-key", KEY], "--openai-api-key (the command line) is not a flag"),
        ([f"--openai-api-key={KEY}"], "--openai-api-key (the command line) is not a flag"),
    ],
)
def test_an_unknown_flag_is_named_without_its_value(argv, sentence):
    assert str(refusal(*argv)) == sentence


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("prot = 1", "prot (a.toml) is not a setting; did you mean port?"),
        ("[deadline]\ndial_s = 1", "deadline (a.toml) is not a setting; did you mean deadlines?"),
        ("[limits]\ncolour = 1", "limits.colour (a.toml) is not a setting of [limits]"),
        ("[deadlines]\ndail_s = 1", "deadlines.dail_s (a.toml) is not a setting of [deadlines]; did you mean dial_s?"),
        ("[deadlines]\n__class__ = 1", "deadlines.__class__ (a.toml) is not a setting of [deadlines]"),
    ],
)
def test_an_unknown_key_of_the_file_is_named(file, sentence):
    assert str(refusal("--config", "a.toml", a_toml=file)) == sentence


@pytest.mark.parametrize(
    ("sourced", "sentence"),
    [
        ({}, "--config (none.toml) cannot be read: No such file or directory"),
        (
            {"none_toml": PermissionError(13, "Permission denied")},
            "--config (none.toml) cannot be read: Permission denied",
        ),
        (
            {"none_toml": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")},
            "--config (none.toml) cannot be read: it is not",
        ),
        ({"none_toml": "port 8080"}, "the file (none.toml) is not TOML: "),
        ({"dotenv": PermissionError(13, "Permission denied")}, ".env (.env) cannot be read: Permission denied"),
    ],
)
def test_a_file_that_cannot_be_read_stops_the_start(sourced, sentence):
    assert str(refusal("--config", "none.toml", **sourced)).startswith(sentence)


@pytest.mark.parametrize(
    ("sourced", "problem"),
    [
        ({"env": {"ROUTER_CA_FILE": "none.pem"}}, "cannot be read: No such file or directory (none.pem)"),
        ({"env": {"ROUTER_CA_FILE": "x.pem"}, "x_pem": "nothing"}, "names a file without a certificate: x.pem"),
    ],
)
def test_a_ca_file_without_certificates_stops_the_start(sourced, problem):
    error = refusal(**sourced)
    assert (error.name, error.source, error.problem) == ("ROUTER_CA_FILE", "the environment", problem)


@pytest.mark.parametrize("bad", ["two words", "line\nbreak", "ünicode", "   "])
def test_a_key_unfit_for_a_header_stops_the_start_and_is_not_shown(bad):
    error = refusal(env={"OPENAI_API_KEY": bad})
    assert error.name == "OPENAI_API_KEY"
    assert bad not in str(error)


@given(st.sampled_from([row for row in SETTINGS if row.flag]), st.text(max_size=30))
def test_any_value_of_a_flag_gives_a_configuration_or_a_sentence_that_names_it(row, written):
    error = error_of(f"{row.flag}={written}")
    assert error is None or str(error).startswith(f"{row.flag} (the command line) ")
    assert "\n" not in str(error)


@given(st.text(max_size=60))
def test_any_file_gives_a_configuration_or_a_sentence_that_names_it(text):
    error = error_of("--config", "a.toml", a_toml=text)
    assert error is None or "(a.toml)" in str(error)


def error_of(*argv, **files):
    try:
        configure(*argv, **files)
    except ConfigError as error:
        return error


# Warnings.


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ROUTER_PROT", "; did you mean ROUTER_PORT?"),
        ("ROUTER_UPSTREAM", "; did you mean OPENAI_REALTIME_URL?"),
        ("ROUTER_MODEL", "; did you mean OPENAI_REALTIME_MODEL?"),
        ("ROUTER_0", ""),
    ],
)
def test_an_unknown_variable_of_ours_warns_and_is_ignored(name, hint):
    start = parse_command_line([], {name: KEY, "ROUTES": "1"}, Files())
    assert start.config == RouterConfig()
    assert start.warnings == (f"{name} (the environment) is not a setting and is ignored{hint}",)
    assert parse_command_line([], {}, Files(dotenv=f"{name}=1\n")).warnings[0].startswith(f"{name} (.env) ")


def test_known_variables_do_not_warn():
    variables = {name: EXAMPLES[row.name][0] for row in SETTINGS for name in row.env} | {"ROUTER_WIRE_VIEW": "0"}
    start = parse_command_line([], {**variables, "ROUTER_CONFIG": "a.toml"}, Files(a_toml=""))
    assert start.warnings == ()


# --check.


def test_check_is_a_flag_of_its_own():
    assert parse_command_line(["--check"], {}, Files()).check
    assert not parse_command_line([], {}, Files()).check


def test_so_is_take_over():
    assert parse_command_line(["--take-over"], {}, Files()).take_over
    assert not parse_command_line([], {}, Files()).take_over


def test_describe_prints_a_file_that_sets_the_same_with_the_source_of_each_line():
    argv = ["--port", "9001", "--config", "a.toml"]
    files = Files(a_toml='models = ["a", "b"]\n[deadlines]\ndial_s = 3\n', dotenv="ROUTER_VOICE=cedar\n")
    start = parse_command_line(argv, {"ROUTER_WORKERS": "3"}, files)
    printed = describe(start)
    again = configure("--config", "b.toml", b_toml=printed)
    assert again == start.config
    for line in (
        "port = 9001  # --port, the command line",
        "workers = 3  # ROUTER_WORKERS, the environment",
        'voice = "cedar"  # ROUTER_VOICE, .env',
        'models = ["a", "b"]  # models, a.toml',
        "dial_s = 3.0  # deadlines.dial_s, a.toml",
        "close_s = 2.0  # default",
        "# ca_file is not set",
    ):
        assert line in printed.splitlines()


def test_an_invalid_voice_is_named():
    assert "(for aura-*)" in str(refusal("--config", "a.toml", a_toml='[voices]\n"aura-*" = 5'))


def test_describe_masks_the_key():
    env = {"OPENAI_API_KEY": KEY}
    printed = describe(parse_command_line([], env, Files()))
    assert '# openai_api_key = "***"  # OPENAI_API_KEY, the environment' in printed.splitlines()
    assert str(refusal("--config", "a.toml", a_toml=printed)).startswith(
        "upstream (a.toml) is openai, which needs a key"
    )
    assert parse_command_line(["--config", "a.toml"], env, Files(a_toml=printed)).config.openai_api_key == Secret(KEY)


def test_describe_shows_neither_the_key_nor_one_in_the_url():
    env = {"OPENAI_API_KEY": KEY, "OPENAI_REALTIME_URL": "wss://h/x?api-key=0123456789"}
    printed = describe(parse_command_line([], env, Files()))
    assert KEY not in printed
    assert "0123456789" not in printed
    assert 'openai_api_key = "***"  # OPENAI_API_KEY, the environment' in printed
