"""Metrics of all workers: counters in memory that they share, and the page that Prometheus scrapes.

`catalog`     every metric: its name, its labels, its buckets
`memory`      rows of numbers in shared memory, one segment for each worker
`metrics`     the counters of one process, which is the only writer of its segment
`history`     the last hour in points of 15 s, for the administrators' page
`exposition`  the page: the segments of all workers added up
`protobuf`    the binary format of the page, with native histograms; pure
"""
