"""Speech for the simulator: words of a turn, and the sound of an answer, with the libraries of the extra `voice`.

The libraries block for a second and take 1.1 GB of memory, so they run in separate processes.

`installed`    the facts: what is installed, and what to install
`process`      the simulator's side of a process: its queue, its deadline, its restart
`worker`       the process itself
`messages`     the messages between the two
`recognition`  speech to text
`moonshine`    the library that recognizes
`synthesis`    text to speech
`piper`        the library that speaks, with the times of its words
`pace`         the pace of the voice
`resampling`   resampling of a whole utterance
"""
