"""The memory of a session. Nothing here imports a handler.

`session`        all of it: `State`
`states`         the states of the tables
`plan`           the client's configuration as of now, whichever way it configured the session
`user_turn`      the user's turns: the speech in progress, and the turns that are owed an answer
`pending`        the responses that the session will create, and the rules by which a request ends without one
`text_delivery`  the account of one answer: the part of its text and audio that the client has
`origin`         the origin of a response: requested, the upstream's own, or outside the conversation
`turn`           the agent's turn: the response in progress, and the ids of earlier, interrupted and ended ones
`transcripts`    the user's words so far, the awaited transcripts, and the agent's messages held for them
`playback`       an estimate of the audio that the caller has heard, and the audio that waits to be sent
`calls`          the function calls: outstanding, and cancelled
`latency`        the moments of a turn, for its latency report
`upstream`       one upstream (`UpstreamLink`): its generation, its formats, its unacknowledged items
`ledger`         the conversation so far, for the next upstream
`item_weight`    the price of an item, and an item cut to a price
`early`          the client input that came before the session was ready
`limited`        the use of the limits of a call (time, silence, turns, tokens, money), and the steps that follow
`meter`          reads the tokens from the events of the upstreams, each response and transcript once
`queues`         small containers with a bound, such as tuples, a queue and a set of the newest items
"""
