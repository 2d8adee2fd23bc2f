"""The log lines of the process.

`setup`    one pipeline for every line, as text or JSON, without credentials
`handler`  a log handler that never blocks its caller
"""
