"""The session: one conversation as a state machine. Inputs in, commands out; pure.

`transitions`  the tables: what may come in each state, what is done about it, and where that leads
`session`      the machine: decodes an input, looks it up, settles what follows
`opening`      the handlers from the first frame to SettingsApplied
`turns`        the handlers of text, speech and responses
`functions`    the handlers of function calls
`endings`      the handlers of every end
`state`        what a session remembers
`deadlines`    every wait, its length, and what happens at its end
`inputs`       what the machine calls things that no wire carries
`profile`      what differs between the two routes
`options`      what the configuration says about sessions
"""
