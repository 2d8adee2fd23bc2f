"""`switchboard canary`: a call to the configured upstream, through a router, step by step.

`main`          the flags, the run, the exit status
`steps`         the table of steps
`claims`        what a transcript, a reply or a count must contain; pure
`conversation`  the canary's side of a call: the messages that it awaits, and their deadline
`stage`         a router on a free port, whose upstream can be cut off
`report`        the steps as lines, or as one JSON object
`remedies`      advice for each kind of failure
"""
