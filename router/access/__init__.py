"""Access: the clients that may come in, and the checks that decide this before the upgrade.

`request`          the request of a client, its identity (`Principal`), and the order of the places of its credential
`gate`             the checks that need no credential, in their order
`proxies`          the request as the client sent it, before proxies changed it
`origins`          the pages that may connect, and the names of the router
`authentication`   the configured kinds of credentials, tried in turn, and the refusal
`hook`             the verdict of the application's `authenticate`
`tokens`           static tokens
`json_web_tokens`  JSON Web Tokens of another issuer
`key_sets`         the keys that verify JSON Web Tokens
`grants`           short-lived tokens of the router's own
`signing`          the secret that signs short-lived tokens
`spent`            the single-use tokens that were used, in shared memory
`session_limits`   the decision whether a new session is below all limits; the next four modules count for it
`counts`           the present sessions of all workers, in shared memory
`arrivals`         the recent arrivals of each address, in shared memory
`daily`            the tokens and dollars of each client today, in shared memory
`redis_counts`     the counts of all machines together, in Redis; the client of Redis for the whole router
`shared_lock`      the lock over the shared memory
`loops`            the mark of the router's own dials
`pending`          observes when a session has its Settings, for the limit on sessions without them
"""
