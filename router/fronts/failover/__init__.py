"""A call that one backend begins and another may continue: OpenAI's behind a session, Deepgram's behind a relay.

Both machines speak Deepgram's protocol with the client, so a call moves between them in that protocol. The other
machine gets the Settings with the conversation as `agent.context`, and the open question, which is asked again.

`deepgram_settings`  the client's Settings as Deepgram takes them; pure
`sides`     the two machines as one interface, each with the facts that the other needs; pure
`marks`     the signs that the call has to be stored; pure
`machine`   the machine of the call: the side of the upstream in use; pure
`value`     the machine of a call that may move to another process, and its layouts
`build`     the machine of a call, made from its parts
"""
