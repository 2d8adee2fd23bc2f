"""`/metrics`: one process, or all workers of a server."""

from router.metrics.catalog import TURNS
from router.metrics.memory import Segments
from router.metrics.metrics import Metrics
from router.web.metrics_page import metrics_route


class StandIn:
    """A router that counts a turn with each sample."""

    def __init__(self):
        self.metrics = Metrics()

    def sample_metrics(self):
        self.metrics.add(TURNS)


def test_the_page_shows_this_process_as_of_now():
    serve = metrics_route(StandIn(), None)
    response = serve({})
    assert (response.status, response.content_type.partition(";")[0]) == (200, "text/plain")
    assert "switchboard_turns_total 1.0\n" in response.encoded.decode()
    assert "switchboard_turns_total 2.0\n" in serve({}).encoded.decode()


def test_with_shared_memory_all_workers_are_added_up():
    router, segments, other = StandIn(), Segments(2), Metrics()
    router.metrics.attach(segments[0])
    other.attach(segments[1])
    other.add(TURNS, (), 40)
    assert "switchboard_turns_total 41.0\n" in metrics_route(router, segments)({}).encoded.decode()


def test_a_scraper_chooses_the_format():
    response = metrics_route(StandIn(), None)({"HTTP_ACCEPT": "application/openmetrics-text;version=1.0.0"})
    assert response.content_type.startswith("application/openmetrics-text")
