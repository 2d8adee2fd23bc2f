"""One conversation as a state machine: frames and the time go in, commands come out. Pure: no socket, thread or clock.

Read `transitions` first: the tables are the product. Then follow a row to its handler.

`transitions`  the tables: the inputs that each state accepts, their handlers, and the next states
`tables`       the types of those tables: rows and joint rules
`machine`      the machine: decodes an input, looks it up in the tables, enters the next state
`snapshot`     writes a session as bytes with an envelope and a checksum, and restores a session from them
`recovery`     a session whose process died: the bytes that its client lacks, and the replay of its journal
`layouts`      the list of the stored and the derived fields of the state's classes: each new field goes here
`packing`      the traversal that turns objects into plain data and back, by the layouts of their classes
`context`      the methods that handlers call: send, dial, wait, start work, log, end the session
`handlers`     the functions that the tables name, by topic
`state`        the memory of a session
`inputs`       the inputs besides wire messages: microphone audio, a client's own OpenAI events, signals
`deadlines`    every wait of a session, and its length
`work`         the kinds of work on pool threads, their keys and their arguments; `context` starts the work
`profile`      the differences between the routes `/openai` and `/v1/agent/converse`, as data
`options`      the part of the configuration that a session needs, and the choice of its model
`reports`      the notifications for an embedding application (turns, usage), and the facts for an observer
`diagram`      draws docs/session-states.md from the tables
"""
