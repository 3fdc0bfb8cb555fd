-- Two roles for CKAN's database. The owner makes and migrates the tables (`ckan db ...`), and no
-- server process knows its password; the role that serves reads and writes rows, has no DDL, and
-- only adds to the record of what happened (the migrations see to that). It owns the DataStore's
-- database, where it makes tables.
--   psql -d ckan -f deploy/roles.sql        as a superuser, in CKAN's database; safe to run again
-- Other names than these: psql -v owner=... -v web=... -v datastore=...
-- What the role that serves owned until now goes to the owner.
\set ON_ERROR_STOP on
\if :{?owner} \else \set owner ckan_owner \endif
\if :{?web} \else \set web ckan \endif
\if :{?datastore} \else \set datastore datastore \endif
SELECT current_database() AS main,
       EXISTS (SELECT 1 FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
               WHERE r.rolname = :'web' AND c.relnamespace = 'public'::regnamespace) AS split \gset
ALTER DATABASE :"main" OWNER TO :"owner";
ALTER SCHEMA public OWNER TO :"owner";
GRANT CONNECT ON DATABASE :"main" TO :"web";
-- Nobody else has anything to do here, the reader of the DataStore neither.
REVOKE CONNECT ON DATABASE :"main" FROM PUBLIC;
-- Whoever may make tables, temporary ones too, can hide ours from the triggers by their names.
REVOKE CREATE, TEMPORARY ON DATABASE :"main" FROM PUBLIC, :"web";
REVOKE CREATE ON SCHEMA public FROM PUBLIC, :"web";
GRANT USAGE ON SCHEMA public TO :"web";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"web";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO :"web";
\if :split
REASSIGN OWNED BY :"web" TO :"owner";
-- That took the databases it owned, too.
SELECT format('ALTER DATABASE %I OWNER TO %I', datname, :'web')
FROM pg_database WHERE datname = :'datastore' \gexec
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO :"web";
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO :"web";
SELECT format('GRANT UPDATE, DELETE ON %s TO %I', c.oid::regclass, :'web')
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT EXISTS (
    SELECT 1 FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = c.oid AND p.proname = 'satudata_guard_record') \gexec
SELECT format('GRANT UPDATE (withdrawn_at, public_note) ON %s TO %I', t, :'web')
FROM to_regclass('public.satudata_publication') t WHERE t IS NOT NULL \gexec
SELECT format('GRANT UPDATE (state, state_by, state_at) ON %s TO %I', t, :'web')
FROM to_regclass('public.satudata_comment') t WHERE t IS NOT NULL \gexec
\endif
