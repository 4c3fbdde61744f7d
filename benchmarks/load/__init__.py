"""Events by the thousand, nearly for nothing: texts made beforehand, with holes that are filled in place.

`shapes` takes what a home looks like from recorded frames, `home` multiplies it, `texts` writes events with holes,
`blocks` fills the holes of hundreds of events at once, `by_websocket` and `by_http` bring them to the product.
`python -m benchmarks.load --help` is the process in which all this runs, apart from what is measured.
"""
