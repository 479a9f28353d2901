-- What stands round the functions on PostgreSQL: nobody changes the ledger, and not everybody calls them.

CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON event
  FOR EACH STATEMENT EXECUTE FUNCTION cronledger_immutable();
CREATE TRIGGER immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON event_body
  FOR EACH STATEMENT EXECUTE FUNCTION cronledger_immutable();
-- Also for the owner, and for whoever calls himself a replica.
ALTER TABLE event ENABLE ALWAYS TRIGGER immutable;
ALTER TABLE event_body ENABLE ALWAYS TRIGGER immutable;

REVOKE ALL ON FUNCTION cronledger_special(jsonb, json, bigint, text, bigint, bigint, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronledger_append(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION cronledger_renew(bigint, bigint) FROM PUBLIC;
