"""The truth: every event in one order, and the few rows that are not history.

Invariants:

- Events are only added. Positions are dense from 1, become visible in order, and `recorded_at` never goes
  back; the one `head` row that every append locks sees to all three, on every database.
- What was answered is durable; who asks again with the same ids gets the same answer.
- A body can be erased, a header cannot: they are separate tables, joined by a salted commitment.
- Leases, beats, locks and wake-ups are rows and connections; only their consequences are events.

`api` is the contract; `memory`, `sqlite` and `postgres` keep it; `database.open_store` picks one.
"""
