"""Why a text is no cron expression, where it goes wrong, and what was probably meant.

Owns the sentences of refusals. It decides nothing: `cronledger.domain.cron_parser` refuses, and asks here for
the reason. Every expression that a hint suggests has been read by the parser before.
"""
