"""Names that are new once on a server."""

from router.logs.once import PLACES, Once


def test_a_name_is_new_once():
    once = Once()
    assert [once.is_first(name) for name in ("a", "b", "a", "\ud800")] == [True, True, False, True]


def test_another_worker_has_the_same_names():
    server, one, another = Once(), Once(), Once()
    one.attach(server)
    another.attach(server)
    assert one.is_first("a")
    assert not another.is_first("a")


def test_the_names_have_a_bound():
    once = Once()
    assert sum(once.is_first(str(number)) for number in range(2 * PLACES)) == PLACES
