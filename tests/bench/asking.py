"""A program that requests a page a number of times a second, each time over a new connection.

`python -m tests.bench.asking OPTIONS`: a JSON object of `address`, `per_s` and `seconds`. The program prints the time
of each request in ns, from the moment at which it was due. A request that waits for the one before it counts as late.
"""

import http.client
import sys
import time

import orjson

from tests.bench.orders import say

TIMEOUT_S = 10.0


def ask(address):
    """Make one request, and read the answer to its last byte."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
    finally:
        connection.close()


def main():
    """Make the requests, and print their times."""
    options = orjson.loads(sys.argv[1])
    every_ns = int(1e9 / options["per_s"])
    due_ns = time.monotonic_ns()
    took_ns = []
    for _ in range(int(options["seconds"] * options["per_s"])):
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        ask(options["address"])
        took_ns.append(time.monotonic_ns() - due_ns)
        due_ns += every_ns
    say({"took_ns": took_ns})


if __name__ == "__main__":
    main()
