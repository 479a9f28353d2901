"""Real processes on real databases under faults drawn from a seed, judged from the outside.

`python -m tests.chaos --seconds 600 --seed 7` runs a few instances of `cronledger up`, injects one fault
after the other, and then reads nothing but `cronledger ledger export` and what the jobs wrote into a file.

    cluster  the processes, and what an operator can ask them
    proxy    a wire to PostgreSQL that can be held, cut, slowed and muted
    server   a PostgreSQL of our own that may be stopped and killed
    shim     the wall clock of one process, shifted
    nemesis  the faults, and when each of them may excuse lateness
    operators  people at the command line meanwhile
    probes   the jobs, which log what they do outside the ledger
    effects  the checks that need that log; the others stand in `tests.checker`
    conduct  one run, from the first process to the last check
"""
