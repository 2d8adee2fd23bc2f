"""One conversation as a state machine: frames and the time go in, commands come out. Pure: no socket, thread or clock.

Read `transitions` first: the tables are the product. Then follow a row to its handler.

`transitions`  the tables: the inputs that each state accepts, their handlers, and the next states
`tables`       the types of those tables: rows and joint rules
`machine`      the machine: decodes an input, looks it up in the tables, enters the next state
`snapshot`     writes a session as a value, and makes a session from a value
`recovery`     a session whose process died: the bytes that its client lacks, and the replay of its journal
`layouts`      the stored and the derived fields of the state's classes
`packing`      objects as plain data, by the layouts of their classes
`context`      the methods by which handlers send, wait, log and end the session
`handlers`     the functions that the tables name, by topic
`state`        the memory of a session
`inputs`       the inputs that exist on no wire in this form
`deadlines`    every wait of a session, and its length
`work`         the work of a session that runs on threads of a pool
`profile`      the differences between the two routes, as data
`options`      the part of the configuration that a session needs, and the choice of its model
`reports`      the notifications for an embedding application: turns and token usage
`diagram`      draws docs/session-states.md from the tables
"""
