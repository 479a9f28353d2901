"""The real engine in virtual time: many instances, one memory ledger, faults from a seed."""
