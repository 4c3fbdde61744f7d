"""The whole product under load: `python -m benchmarks.whole --help`.

`harness` starts product and load, `watch` tells who used the processor and the memory, `probes` ask and listen,
`account` holds what was sent against what is there, `phases` puts them together, `__main__` runs one phase.
"""
