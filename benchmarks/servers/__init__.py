"""`tfwd serve` beside other servers on the same model and requests, each in an environment of its own.

`python -m benchmarks.servers.setup` makes the environments, `python -m benchmarks.servers` measures. A server is a
module that runs in a process of its own and imports nothing of tfwd unless it is tfwd: they share `session`.
"""
