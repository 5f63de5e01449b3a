"""tfwd beside other libraries on the same work, each in an environment of its own.

`python -m benchmarks.peers.setup` makes the environments, `python -m benchmarks.peers` measures. A contender is a
module that runs in a process of its own and imports nothing of tfwd unless it is tfwd: they share `work` and `clock`.
"""
