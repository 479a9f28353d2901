"""Views: folds of the ledger kept as rows.

    ledger --read_all--> evolve (the domain's own) --> rows + checkpoint, in one transaction --> questions

Invariants:

- A view is a fold of the events and of nothing else: its rows can be dropped at any moment and rebuilt, and
  come out the same. Decisions fold with the same `evolve`.
- Rows and checkpoint move together, under a lock on the checkpoint, so no event is applied twice. Positions
  are contiguous: a missing event stops the fold, it is never skipped.
- Views are for reading. Nothing is decided from a row alone: an append at an expected version has the last
  word, so a view that lags costs a second look and no more.

`fold` brings the views up to the head, rebuilds and checks them; `job_status`, `run_history`, `step_history`,
`leadership` and `unrecognized` answer the questions; `replay` answers them as of an earlier position;
`log_lines` reads the ledger as a log; `progress` tells how far running runs are.
"""
