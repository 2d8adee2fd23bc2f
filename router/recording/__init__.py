"""Recordings of sessions: their inputs with the times, their commands, and their configuration without secrets.

A session machine is pure, so a recording can be run again, and the commands must be equal to the byte.

`words`       the replacement of words by a text of the same shape; pure
`secrets`     the credentials that no recording contains; pure
`sums`        the sums of a client's day, which no input carries
`mask`        the input without the words, sound and secrets that must not be written; pure
`notation`    inputs and commands as JSON; pure
`header`      the configuration of a session, and the machine that it makes
`transcript`  the lines of one recording
`folder`      the folder of recordings, and its bound
`recorder`    the sampling of sessions, and the thread that writes
`reader`      the reader of a recording, with a sentence about its damage
`replay`      the comparison with the machine of the installed version
`as_test`     a recording as a pytest playbook
`printed`     the trace for a person
"""
