"""The tokens, dollars and turns of each client today."""

from router.access import daily
from router.access.daily import CELLS, WAYS, DailySums

ADA, BOB = b"ada key.", b"bob key."
TODAY = 20_000


def test_the_sums_of_all_workers_add_up():
    sums = DailySums(slots=2)
    assert sums.add(0, ADA, (100, 0.25, 3), TODAY) == (100, 0.25, 3)
    assert sums.add(1, ADA, (50, 0.000001, 1), TODAY) == (150, 0.250001, 4)
    assert sums.of(BOB, TODAY) == (0, 0.0, 0)


def test_a_new_day_begins_at_zero():
    sums = DailySums()
    sums.add(0, ADA, (100, 1.0, 2), TODAY)
    assert sums.of(ADA, TODAY + 1) == (0, 0.0, 0)
    assert sums.add(0, ADA, (1, 0.0, 0), TODAY + 1) == (1, 0.0, 0)


def test_a_client_that_used_little_or_on_another_day_makes_room():
    sums = DailySums()
    ways = CELLS // WAYS
    first, second, third, fourth, fifth, sixth = ((5 + number * ways).to_bytes(8, "little") for number in range(1, 7))
    for key, tokens in ((first, 40), (second, 10), (third, 30)):
        sums.add(0, key, (tokens, 0.0, 0), TODAY)
    sums.add(0, fourth, (90, 0.0, 0), TODAY - 1)
    sums.add(0, fifth, (20, 0.0, 0), TODAY)
    sums.add(0, sixth, (1, 0.0, 0), TODAY)
    kept = [sums.of(key, TODAY)[0] for key in (first, second, third, fifth, sixth)]
    assert kept == [40, 0, 30, 20, 1]


def test_a_day_ends_at_midnight_utc():
    assert daily.day_of(86_400 * TODAY + 86_399) == TODAY
    assert daily.left_s(86_400 * TODAY + 86_000) == 400
