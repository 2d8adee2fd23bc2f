"""The explorer: it walks every state of a session that a client, an upstream and time can reach, and judges each.

    python -m tests.explore --seconds 60

`world`      the session machine, its client, its upstreams and its timers, as one value
`client_actions`, `upstream_actions`, `fault_actions`, `engine_actions`
             what may happen in a world: by its client, by an upstream that keeps to the protocol or fails, and by time
`ends`       the ways to the end of a world
`copies`     copies of a world
`upstream`   the model of an upstream: all that the protocol, or a known quirk of a server, lets it do
`judge`      the invariants of docs/invariants.md, judged by what both peers can see
`account`    the session's account of its tables, judged by what its peers have done
`knowledge`  the conversation as the client knows it, and as each upstream was given it
`violation`  the exception of a broken invariant
`canonical`  the key of a world: ids renamed, times as order
`search`     breadth first to a depth, then walks towards pairs of state and input that no walk has seen
`shrink`     the shortest part of a walk that still breaks the rule, printed as a playbook
`reach`      the walks that reach each line of the tables
`findings`   faults of the past, each brought back: the explorer has to find it again
`mutants`    changes of the tables that the explorer has to find
`__main__`   the command
"""
