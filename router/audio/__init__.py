"""Audio formats and conversion: pure arithmetic, independent of both wires.

`formats`       encodings and rates; sizes, durations and silence
`convert`       a stream from one format to another
`g711`          mu-law and A-law, as tables
`samples`       encodings of many samples at once; loads numpy, as the next two do
`polyphase`     sample rates: a filter designed once per pair of rates
`compiled`      the compiled filter of `polyphase`, if there is one
`interpolated`  sample rates without a small ratio: the same filter, interpolated
"""
