"""Speech for the simulator: words of a turn, and the sound of an answer, with the libraries of the extra `voice`.

The libraries block for a second and take 1.1 GB of memory, so they run in processes of their own.

`installed`    the facts: what is installed, and what to install
`process`      a process as the simulator uses it: bounded, with a deadline, restarted
`worker`       the process itself
`messages`     the messages between the two
`recognition`  speech to text
`moonshine`    the library that recognizes
`synthesis`    text to speech
`piper`        the library that speaks, with the times of its words
`pace`         the pace of the voice
`resampling`   resampling of a whole utterance
"""
