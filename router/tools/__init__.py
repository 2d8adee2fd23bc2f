"""Functions that the router runs itself, on the threads of its workers: they may block.

`toolbox`    what the embedding application registered: name, schema, handler
`endpoints`  HTTP endpoints that a client's Settings name
`addresses`  which addresses an endpoint may have
`performer`  does the work that a session asks for

What a session offers to the model, and what becomes of a call, is `router.session.functions`.
"""
