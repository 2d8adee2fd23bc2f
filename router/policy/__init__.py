"""Policies: the values that a client may send, on every wire. Pure.

`policy`          `Policy`: the whole interface to sessions and fronts
`table`           the rules of the tables `[policies.NAME]`, read and checked
`fields`          the table of fields: the places of each field in the messages of either wire
`values`          values: their names in rules, and their form on each wire
`events`          OpenAI's client events
`agent_messages`  Deepgram's client messages
`judge`           the check of one rule at the places of its field
`tools`           the check of the rules about lists of tools
`known`           the known fields of each wire
`masking`         the removal of the values that the server sets, from events and texts
`overrides`       an application's overrides, as rules
`paths`           places in a JSON message
`rules`           `Rule`, and `Denied` with its sentence for the client
"""
