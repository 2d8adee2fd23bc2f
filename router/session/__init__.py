"""The session: one conversation as a state machine. Inputs in, commands out; pure.

`transitions`  the tables: what may come in each state, what is done about it, and where that leads
`session`      the machine: decodes an input, looks it up, settles what follows
`opening`      the handlers from the first frame to SettingsApplied
`configuring`  the handlers of an upstream on its way to being ready
`turns`        the handlers of what the user writes and says
`interim`      the handlers of what the user is saying, while it is put into words
`speaking`     the handlers of what the agent says
`spoken`       the handlers of what it says word for word: a `verbatim_text`
`injections`   the handlers of what a client puts into the agent's mouth
`updates`      the handlers of what changes a running session
`responses`    the handlers of a response, from its request to its end
`functions`    the handlers of function calls
`as_is`        the handlers of OpenAI client events that a client sends itself
`restarts`     the handlers of a lost upstream
`rollover`     the handlers of the upstream that follows before a session expires
`endings`      the handlers of every end
`state`        what a session remembers
`ledger`       what was said, for the next upstream
`deadlines`    every wait, its length, and what happens at its end
`inputs`       what the machine calls things that no wire carries
`profile`      what differs between the two routes
`options`      what the configuration says about sessions
"""
