"""Functions that the router runs itself, on threads of a pool: they may block.

`registry`   the functions that the embedding application registers: name, schema, handler
`endpoints`  the HTTP endpoints that a client's Settings name
`addresses`  the check of the addresses behind an endpoint's name
`runner`     the work of a session, from its class to the function that does it

The offer of functions to the model, and the life of a call, are in `router.session.handlers.function_calls`.
"""
