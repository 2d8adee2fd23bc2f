"""Functions that the router runs itself. They run on threads of a pool, because they may block.

`registry`   the functions that the embedding application registers: name, schema, handler
`endpoints`  the HTTP endpoints that a client's Settings name
`addresses`  the check of the addresses of an endpoint's host
`runner`     the dispatch of a session's work to the function that does it

The offer of functions to the model, and the life of a call, are in `router.session.handlers.function_calls`.
"""
