"""The configuration: what can be set, where it is written, and the one frozen value that comes of it.

`model`           the `RouterConfig`, with the default and the bounds of every setting
`schema`          the table of settings: flag, variables, parser, help
`command_line`    the configuration of the command, from its flags, variables and files
`keywords`        the configuration of a program, from the keywords of `Router`
`upstream`        one upstream: URL, credential, headers, names of models
`upstream_table`  the file's list of upstreams, `[[upstreams]]`
`provenance`      a value with its source, and how both are printed
`former`          the keys of the version before, accepted with a warning
`parsers`         parsers of single values
`origins`         the origins of endpoints that functions may call
"""
