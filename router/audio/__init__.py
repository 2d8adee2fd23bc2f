"""Audio formats and resampling: pure arithmetic, which knows no wire.

`formats`    sizes and silence of linear16
`resample`   a stream of linear16 from one sample rate to another
`polyphase`  the filter that does it: designed once per pair of rates (the only module that loads numpy)
"""
