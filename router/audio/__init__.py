"""Audio formats and conversion: pure arithmetic, which knows no wire.

`formats`       encodings and rates; sizes, durations and silence
`convert`       a stream from one format to another
`g711`          mu-law and A-law, as tables
`samples`       encodings, many samples at once          (loads numpy, as the next two do)
`polyphase`     sample rates: a filter, designed once per pair
`interpolated`  the same between rates that have no small ratio
"""
