"""`switchboard admin`: the verbs of an operator from the shell.

`main`    the arguments, and the run of the verb
`verbs`   the table of verbs: the request of each, and the form of its answer
`server`  one request to a running server
`tables`  rows as columns of text
"""
