"""`switchboard talk`: a conversation in the terminal, typed or spoken.

`main`      the flags, and the loop that connects the parts
`call`      one call: events in, messages and lines out
`screen`    the printed lines: the speaker, and the time that an answer takes
`lines`     the lines that the user types, or that a pipe holds
`sound`     microphone and loudspeaker, if the library sounddevice is installed
"""
