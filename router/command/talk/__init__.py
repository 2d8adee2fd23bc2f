"""`switchboard talk`: a conversation in the terminal, typed or spoken.

`main`      the flags, and the parts put together
`call`      one call: events in, messages and lines out
`screen`    the lines: who speaks, and the time that it takes
`lines`     the lines that the user types, or that a pipe holds
`sound`     microphone and loudspeaker, if the library sounddevice is installed
"""
