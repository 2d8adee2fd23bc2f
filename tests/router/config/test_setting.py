"""A row of the table of settings."""

from router.config.model import RouterConfig
from router.config.setting import Setting


def test_a_row_has_the_default_of_its_field():
    row = Setting(name="port", parser=str, help="port")
    assert row.default == RouterConfig().port
    assert Setting(name="auth.kinds", parser=str, help="kinds").default is None


def test_the_key_in_the_file_is_the_name_unless_the_row_has_another():
    assert Setting(name="port", parser=str, help="port").key == "port"
    assert Setting(name="tokens", parser=str, help="tokens", file_key="auth.tokens").key == "auth.tokens"
