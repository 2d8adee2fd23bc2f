"""The telephone: Twilio Media Streams, bidirectional, as the client of a session.

Twilio dials the router for each call. Twilio sends mu-law audio and events as JSON, and plays the audio that it gets in
order. Its wire has no Settings, so the call names an agent of the configuration.

`wires`      the wires of similar services (Telnyx, Plivo, Exotel, Vonage), as differences from Twilio's; pure
`messages`   the messages of both directions, and their codec; pure
`playout`    the audio that was sent, and the part that Twilio reported as played; pure
`keypad`     the keys that the caller pressed, and the text by which the model gets them; pure
`key_function`  the function by which the model reads those keys; pure
`marks`      the signs that a call has to be stored, with notes of the sent pieces; pure
`machine`    a call: Twilio's messages in, a session's messages out; pure
`signature`  the signature of Twilio's requests; pure
`front`      the front, as data
`webhook`    the requests of Twilio: the webhook of a call, and its WebSocket
"""
