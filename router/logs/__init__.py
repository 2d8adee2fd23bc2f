"""The log lines of the process.

`setup`      one pipeline for every line, as text or JSON, without credentials
`levels`     the levels, and their change while the process runs
`repeats`    many failures of one kind within a minute, counted in one line
`trace`      protocol messages at the level trace
`handler`    a log handler that never blocks its caller
`once`       lines that a server logs once, and not once in each worker
`usage_log`  a file with a line for each session that ended
`limits`     the bounds of the lines that a peer can cause: their length, their bytes, and the number of each kind
"""
