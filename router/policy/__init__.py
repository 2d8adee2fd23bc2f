"""Policies: what a client may say, on every wire. Pure.

`policy`          `Policy`: the whole interface to sessions and fronts
`table`           the tables `[policies.NAME]` of the configuration
`fields`          the table of fields: where each may be said, on either wire
`values`          values as a rule names them, and as each wire writes them
`events`          OpenAI's client events
`agent_messages`  Deepgram's client messages
`judge`           one rule at the places of its field
`tools`           the rules about lists of tools
`known`           the fields that each wire knows
`masking`         what the server has set, left out of events and texts
`overrides`       an application's overrides, as rules
`paths`           places in a JSON message
`rules`           `Rule` and `Denied`
"""
