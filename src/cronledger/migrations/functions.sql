-- The ledger's own code on PostgreSQL. {schema} is the quoted name of the schema that holds the tables.
--
-- All of it is plpgsql, whose plans a session keeps; a function in plain SQL is planned at each call, which took
-- three times as long as everything else. Plans that are kept were made while the tables were small: nothing may
-- ever read a whole one.

-- What is refused, or known already, in a part of a batch whose items do not concern one another: one row for
-- each such item, with the first reason in the order of the contract. Ids are looked up only if `thorough`.
CREATE OR REPLACE FUNCTION cronledger_special(
    part jsonb, events json, now_term bigint, now_leader text, now_lease_until bigint, now_is bigint, thorough boolean
) RETURNS jsonb LANGUAGE plpgsql STABLE
SET search_path = {schema}, pg_temp SET enable_seqscan = off AS $function$
BEGIN
  RETURN (WITH claim AS (
    SELECT * FROM jsonb_to_recordset(part->'claims') AS c (i int, fence bigint, leader text, force boolean)
  ),
  used AS (
    SELECT e.i,
           count(k.position) < count(*) OR NOT coalesce(bool_and(
             k.stream = e.s AND k.type = e.t AND k.commitment = e.c AND k.version = coalesce(e.v, k.version)
           ), false) OR count(DISTINCT (e.s, k.version - e.r)) > count(DISTINCT e.s) AS is_damage,
           min(k.position) AS first, max(k.position) AS last, min(k.recorded_at) AS recorded_at,
           min(encode(k.id, 'hex')) AS id
      FROM json_to_recordset(CASE WHEN thorough THEN events ELSE '[]' END)
           AS e (i int, id bytea, s text, v int, r int, t text, c bytea)
      LEFT JOIN event AS k ON k.id = e.id
     GROUP BY e.i
    HAVING count(k.position) > 0
  ),
  reason AS (
    SELECT i, CASE WHEN leader IS NULL THEN 0 ELSE 3 END AS rank, 'fenced' AS kind,
           NULL::int AS w, now_term AS n, NULL::bigint AS first, NULL::bigint AS last, NULL::text AS word
      FROM claim WHERE fence <> now_term
    UNION ALL
    SELECT i, 1, 'led', NULL, now_lease_until, NULL, NULL, now_leader
      FROM claim
     WHERE leader IS NOT NULL AND NOT force AND now_leader IS NOT NULL AND now_lease_until >= now_is
       AND coalesce(fence, now_term) = now_term
    UNION ALL
    SELECT i, 2, CASE WHEN is_damage THEN 'damaged' ELSE 'same' END, NULL, recorded_at, first, last, id FROM used
    UNION ALL
    SELECT c.i, 10 + 2 * c.w, 'conflict', c.w, known.version + c.ahead, NULL, NULL, NULL
      FROM jsonb_to_recordset(part->'checks') AS c (i int, w int, stream text, base int, ahead int)
     CROSS JOIN LATERAL (
       SELECT coalesce(max(e.version), 0)::bigint AS version FROM event AS e WHERE e.stream = c.stream
     ) AS known
     WHERE known.version <> c.base
    UNION ALL
    SELECT q.i, 11 + 2 * q.w, 'noisy', q.w, known.position, NULL, NULL, NULL
      FROM jsonb_to_recordset(part->'quiets') AS q (i int, w int, job text, since bigint)
     CROSS JOIN LATERAL (
       SELECT coalesce(max(e.position), 0) AS position FROM event AS e WHERE e.job = q.job
     ) AS known
     WHERE known.position > q.since
    UNION ALL
    SELECT i, 1000000, 'early', NULL, at, NULL, NULL, NULL
      FROM jsonb_to_recordset(part->'dues') AS d (i int, at bigint)
     WHERE at > now_is
  )
  SELECT coalesce(jsonb_agg(jsonb_build_object(
           'i', i, 'kind', kind, 'w', w, 'n', n, 'first', coalesce(first, 0), 'last', coalesce(last, 0), 'leader', word
         )), '[]')
    FROM (SELECT DISTINCT ON (i) * FROM reason ORDER BY i, rank, n DESC) AS of_item);
END
$function$;

-- Append a batch: one call, one transaction. Whoever calls it can read and append, and nothing else.
CREATE OR REPLACE FUNCTION cronledger_append(request text, events text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $function$
DECLARE
  asked CONSTANT jsonb := request::jsonb;
  h head;
  now_is bigint;
  stamp bigint;
  before bigint;
  part jsonb;
  news json;
  taking jsonb;
  begun bigint;
  special jsonb;
  left_out int[];
  told jsonb := '[]';
  added bigint;
  thorough boolean;
BEGIN
  SELECT * INTO STRICT h FROM head WHERE id = 1 FOR UPDATE;
  IF coalesce((asked->>'writer')::int, 1) < h.min_writer THEN
    RAISE EXCEPTION USING ERRCODE = 'CL003', MESSAGE = 'only newer versions may append', DETAIL = h.min_writer;
  END IF;
  -- Not now(): that is the moment before the wait for the head.
  now_is := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  stamp := greatest(h.recorded_at, now_is);
  before := h.position;
  FOR part, news IN
    SELECT p, e
      FROM ROWS FROM (jsonb_array_elements(asked->'parts'), json_array_elements(events::json)) AS in_order (p, e)
  LOOP
    taking := CASE WHEN part->'claims'->0->>'leader' IS NOT NULL THEN part->'claims'->0 END;
    begun := CASE WHEN taking IS NOT NULL THEN h.term + 1 END;
    thorough := false;
    LOOP
      special := cronledger_special(part, news, h.term, h.leader, h.lease_until, now_is, thorough);
      IF thorough OR special = '[]' THEN
        IF special @> '[{"kind": "damaged"}]' THEN
          RAISE EXCEPTION USING ERRCODE = 'CL001', MESSAGE = 'an event id has been used for another event; '
            || 'nothing was appended: ' || (jsonb_path_query_first(special, '$[*] ? (@.kind == "damaged").leader') #>> '{}');
        END IF;
        left_out := ARRAY(SELECT (value->>'i')::int FROM jsonb_array_elements(special));
        BEGIN
          WITH fresh AS MATERIALIZED (
            SELECT h.position + row_number() OVER () AS position, e.*
              FROM json_to_recordset(news) AS e (
                i int, id bytea, s text, v int, r int, t text, n int, m boolean, f bigint, a text, j text,
                e int, d bigint, u text, c bytea, x bytea, b text
              )
             WHERE e.i <> ALL (left_out)
          ),
          kept AS (INSERT INTO event_body (position, salt, body) SELECT position, x, b FROM fresh)
          INSERT INTO event (
            position, id, stream, version, type, schema, must_understand, recorded_at, instance, term, actor, job,
            attempt, fire_at, cause, commitment
          )
          SELECT position, id, s,
                 coalesce(v, r + coalesce((SELECT max(k.version) FROM event AS k WHERE k.stream = s), 0)),
                 t, n, m::int, stamp, asked->>'instance', coalesce(begun, f), a, j, e, d, u, c
            FROM fresh;
          GET DIAGNOSTICS added = ROW_COUNT;
          EXIT;
        EXCEPTION WHEN unique_violation THEN
          IF thorough THEN
            RAISE EXCEPTION USING ERRCODE = 'CL001', MESSAGE = 'an event id has been used for another event, '
              || 'or the head of the ledger and its events disagree; nothing was appended';
          END IF;
        END;
      END IF;
      thorough := true;
    END LOOP;
    told := told || special;
    h.position := h.position + added;
    IF taking IS NOT NULL AND special = '[]' THEN
      h.term := begun;
      h.leader := taking->>'leader';
      h.lease_until := now_is + (taking->>'lease')::bigint;
      h.epoch := (taking->>'epoch')::bigint;
    END IF;
  END LOOP;
  -- Also for what was there already: only a commit of our own waits until a standby has it too.
  UPDATE head
     SET position = h.position, term = h.term, leader = h.leader, lease_until = h.lease_until, epoch = h.epoch,
         recorded_at = CASE WHEN h.position > before THEN stamp ELSE recorded_at END
   WHERE id = 1;
  IF h.position > before AND (asked->>'notify')::boolean THEN
    PERFORM pg_notify('cronledger', '');
  END IF;
  RETURN jsonb_build_object('before', before, 'at', stamp, 'clock', now_is, 'special', told);
END
$function$;

-- Let the lease of a term end `lease` microseconds from now; answer with the head, whoever leads.
CREATE OR REPLACE FUNCTION cronledger_renew(claimed bigint, lease bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp AS $function$
DECLARE
  h head;
  now_is bigint;
BEGIN
  SELECT * INTO STRICT h FROM head WHERE id = 1 FOR UPDATE;
  now_is := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  IF h.term = claimed THEN
    h.lease_until := CASE WHEN lease > 0 THEN now_is + lease END;
    UPDATE head SET lease_until = h.lease_until WHERE id = 1;
  END IF;
  RETURN to_jsonb(h) || jsonb_build_object('clock', now_is);
END
$function$;

CREATE OR REPLACE FUNCTION cronledger_immutable() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'CL002', MESSAGE = 'the ledger is immutable';
END
$function$;
