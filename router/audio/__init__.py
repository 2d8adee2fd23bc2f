"""Audio formats and conversion: pure arithmetic, independent of both wires.

`formats`       encodings and rates; sizes, durations and silence
`pages`         buffers outside of the heap, for audio that is kept
`convert`       a stream from one format to another
`g711`          mu-law and A-law, as tables
`samples`       encodings of many samples at once; loads numpy
`polyphase`     the conversion of sample rates: a filter that is designed once per pair of rates; loads numpy
`compiled`      the compiled filter of `polyphase`, if it was built
`interpolated`  the conversion of rates without a small ratio: the same filter, interpolated; loads numpy
"""
