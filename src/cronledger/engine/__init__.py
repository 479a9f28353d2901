"""The shell: one loop that reads, asks the domain and appends.

Only the leader plans; every instance claims and performs runs whose job it provides. The engine touches
nothing of the outside but the `World` it is given, so the real engine runs unchanged on a memory ledger and
in virtual time. No clock, no randomness, no thread and no database is named here.

    follow    the tail of the ledger -> Board (jobs, unfinished runs)
    lead      lock, lease, term
    define    the leader's configuration -> job.registered, job.redefined, job.retired
    startup   once per boot, before any fire time is planned
    plan      due fire times -> run.triggered, or a recorded skip
    recover   runs whose instance fell silent
    claim     waiting runs -> run.started -> the job's own code -> an outcome
    wait      until the next due instant, a wake-up, or one second
"""
