"""Usage and money: the tokens that upstreams report, by kind, and their prices. Pure.

`tokens`  the tokens and seconds in an upstream's usage object
`prices`  the price of each kind of token, by model; the package contains `prices.toml`
`totals`  the sums of one session, by model, with their cost
`report`  the sums of a usage log, by day, principal and model, as a table or JSON: what `switchboard usage` prints
"""
