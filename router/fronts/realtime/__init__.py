"""The OpenAI Realtime API towards the client: its events pass to an upstream, and a lost upstream is replaced.

The client and the upstream speak the same protocol, so a relay takes the place of the session machine. The relay
remembers the facts that another upstream needs, and does not pass on the events that the other upstream repeats.

`wire`            one event: read, changed, written
`names`           ids that the client and the upstream use for the same thing
`configuration`   the client's configuration, for another upstream
`kept_items`      the client's conversation, for another upstream
`kept_speech`     microphone audio of which the upstream has made no turn
`responses`       responses that have not ended, and their end as a whole
`requests`        the client's events that are not acknowledged, and those that wait
`turn_reports`    usage, turns and latencies
`relay`           `Context`: the memory, and the operations that handlers use (send, refuse, wait, end)
`marks`           the signs that the memory has to be stored, and the notes of an answer's deltas
`layouts`         the list of the stored fields of each class of the memory
`value`           the whole memory as bytes for another process, written and read
`permission`      the client's events under the policy of the session
`from_client`     the client's events
`recovery`        another upstream in place of a lost one, and the end
`second_upstream`  an upstream that takes over before another one's session ends
`from_upstream`   the upstream's events, except those of responses
`streams`         the events of responses
`guarded`         the events as the guard reads them
`machine`         `RealtimeRelay`: the handler for each kind of input, and of each deadline, and the drain
`front`           the front, as data
"""
