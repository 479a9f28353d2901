"""The jobs that come with cronledger: three extensions, `core`, `blog` and `web`, one file per job.

They use what any extension may: `cronledger.jobs`, and the application's database as `ctx.db`. Each job reads
its tables through `tables.py`, which finds out under which names a host has them.
"""
