"""The configuration: the settings, their sources, and the one frozen value that results from them.

`model`             the `RouterConfig`, with the default and the bounds of every setting
`schema`            the table of settings: flag, variables, parser, help
`setting`           one row of that table
`session_settings`  the rows about sessions: upstream, model, agents, backends
`process_settings`  the rows about a process: addresses, access limits, logs, recordings
`auth_settings`     the rows about authentication
`command_line`      the configuration of the command, from its flags, variables and files; checks of two keys
`keywords`          the configuration of a program, from the keywords of `Router`
`upstream`          one upstream: URL, credential, headers, names of models
`upstream_table`    the file's list of upstreams, `[[upstreams]]`
`route`             one route: path, front, policy, upstreams, defaults
`route_table`       the file's list of routes, `[[routes]]`
`auth`              authentication as it is configured: kinds, tokens, keys
`auth_table`        the file's table `[auth]`
`policy_table`      the limits in `[policies.NAME.limits]`, beside the rules that `router.policy.table` reads
`guard`             the table of the guard, with its rules
`sites`             pages and hosts that an operator allows
`rates`             rates such as `5/minute`
`provenance`        a value with its source, the printed form of both, and the error for an unknown key
`former`            the keys of the previous version, which are accepted with a warning
`model_ends`        the announced ends of models, and a warning before them
`parsers`           parsers of single values
`origins`           the origins of endpoints that functions may call
"""
