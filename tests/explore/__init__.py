"""The explorer: it visits the states of a session that a client, an upstream and time can reach, and judges each state.

    python -m tests.explore --seconds 60

`world`      the session machine, its client, its upstreams and its timers, as one value
`client_actions`, `upstream_actions`, `fault_actions`, `engine_actions`
             what may happen in a world: by its client, by an upstream that keeps to the protocol or fails, and by time
`ends`       the ways to the end of a world
`copies`     copies of a world
`upstream`   the model of an upstream: all that the protocol, or a known quirk of a server, lets it do
`responses`  the responses of that model: their kinds and their steps
`judge`      checks the invariants of docs/invariants.md, from what the client and the upstreams see
`evidence`   what the judge knows: the client's questions, the responses, and what both peers received
`account`    checks that the states which the session reports agree with what its peers have done
`knowledge`  the conversation as the client knows it, and as each upstream received it
`violation`  the exception of a broken invariant
`canonical`  the key of a world: ids are renamed, and times are replaced by their order
`search`     the search: breadth first to a depth, then at random, with a preference for rare situations
`shrink`     the shortest part of a walk that still breaks the rule, printed as a playbook
`reach`      the walks that reach each line of the tables
`findings`   puts each fault of the past back into the code: the explorer has to find it again
`undoing`    the changes that undo the mendings of these faults
`mutants`    changes of the tables that the explorer has to find
`__main__`   the command
"""
