"""What the database role of the web server may do beyond its work.

Two roles: the owner of the tables migrates them (`ckan db ...`) and is known to no server process;
the role that CKAN serves with reads and writes rows, has no DDL, and only adds to the record.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ckanext.satudata_trenggalek.model import ddl

#: What to run instead is told for each; `{role}` is the role that serves.
_OWN = "make another role their owner (docs/operations.md, “Two database roles”)"

#: Whoever the present role is or may become, with rights over the server or as one of `:owners`.
_ABOVE = """
SELECT rolname FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')
   AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
        OR rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program')
        OR rolname = ANY (:owners))
 ORDER BY 1
"""

#: Query of the present role -> what it may (`{0}` is the number of rows, `{1}` the first), remedy.
#: `{first}` is that first row, too.
_EXCESS: tuple[tuple[str, str, str], ...] = (
    (
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind IN ('r', 'p', 'v', 'S') AND pg_has_role(relowner, 'MEMBER') ORDER BY 1",
        "owns {0} tables and sequences ({1}, ...) and may alter them and their triggers",
        _OWN,
    ),
    (
        "SELECT proname FROM pg_proc WHERE proname LIKE 'satudata\\_%'"
        " AND pronamespace = current_schema()::regnamespace AND pg_has_role(proowner, 'MEMBER')",
        "owns {0} functions of the gate ({1}, ...)",
        _OWN,
    ),
    (
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind IN ('r', 'p') AND has_table_privilege(oid, 'TRUNCATE, TRIGGER, REFERENCES')"
        " AND NOT pg_has_role(relowner, 'MEMBER') ORDER BY 1",
        "may TRUNCATE, or put triggers or references on, {0} tables ({1}, ...)",
        "`REVOKE TRUNCATE, TRIGGER, REFERENCES ON ALL TABLES IN SCHEMA {schema} FROM {role}`",
    ),
    (
        "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE')"
        " AND nspname = current_schema()",
        "may create tables in the schema {1}",
        "`REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}`",
    ),
    (
        # A temporary table hides one of the same name from the triggers' functions.
        "SELECT datname FROM pg_database WHERE datname = current_database()"
        " AND has_database_privilege(oid, 'CREATE, TEMPORARY')",
        "may create schemas or temporary tables in the database {1}",
        "`REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC, {role}`",
    ),
    (
        # Nobody calls the functions of triggers; those of extensions are their own.
        "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef"
        " AND pronamespace <> 'pg_catalog'::regnamespace AND has_function_privilege(oid, 'EXECUTE')"
        " AND prorettype <> 'trigger'::regtype AND NOT pg_has_role(proowner, 'MEMBER')"
        " AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')"
        " ORDER BY 1",
        "may run {0} functions with the rights of another role ({1}, ...)",
        "`REVOKE EXECUTE ON ROUTINE {first} FROM PUBLIC, {role}`",
    ),
)

#: Who else may read or change tables (their owner and superusers may in any case), how many of
#: them, and the first.
_OPEN = """
SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END,
       count(*), min(c.oid::regclass::text)
  FROM pg_class c CROSS JOIN LATERAL (
    SELECT grantee FROM aclexplode(c.relacl)
    UNION SELECT grantee FROM pg_attribute a, aclexplode(a.attacl) WHERE a.attrelid = c.oid) g
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
   AND g.grantee NOT IN (c.relowner, current_user::regrole)
   AND NOT EXISTS (SELECT 1 FROM pg_roles WHERE oid = g.grantee AND rolsuper)
   AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
 GROUP BY 1 ORDER BY 1
"""


def owners(connection: Connection) -> list[str]:
    """Names of the roles that own the tables of this database."""
    query = (
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class"
        " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
    )
    return list(connection.scalars(sa.text(query)))


def above(connection: Connection, owners: list[str]) -> list[str]:
    """The roles by which that of this connection has rights over the server, or is an owner.

    Args:
        connection: to any database.
        owners: names of the roles that own what it may not touch.
    """
    return list(connection.scalars(sa.text(_ABOVE), {"owners": owners}))


def excess(connection: Connection) -> list[str]:
    """What the role of this connection may do to the record and the gate.

    Returns:
        each with the line that takes it away; empty for a role that only serves.
    """
    role, schema, database = connection.execute(
        sa.text(
            "SELECT quote_ident(current_user), quote_ident(current_schema()),"
            " quote_ident(current_database())"
        )
    ).one()
    found = []
    if names := above(connection, []):
        found.append(
            f"the role {role} that serves CKAN has rights over the whole server (as {names[0]}):"
            f" `ALTER ROLE {role} NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS`"
        )
    for query, what, remedy in _EXCESS:
        names = list(connection.scalars(sa.text(query)))
        if names:
            told = what.format(len(names), names[0])
            cure = remedy.format(role=role, schema=schema, database=database, first=names[0])
            found.append(f"the role {role} that serves CKAN {told}: {cure}")
    for other, count, first in connection.execute(sa.text(_OPEN)):
        who = "everybody who reaches the database" if other == "PUBLIC" else f"the role {other}"
        found.append(
            f"{who} may use {count} tables ({first}, ...):"
            f" `REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {other}`"
        )
    for table, columns in ddl.RECORDS.items():
        may = connection.scalar(
            sa.text(
                "SELECT has_table_privilege(c.oid, 'UPDATE, DELETE') OR EXISTS ("
                "  SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0"
                "  AND NOT a.attisdropped AND a.attname <> ALL (:columns)"
                "  AND has_column_privilege(c.oid, a.attnum, 'UPDATE'))"
                " FROM pg_class c WHERE c.oid = to_regclass(:table)"
                " AND NOT pg_has_role(c.relowner, 'MEMBER')"
            ),
            {"table": table, "columns": list(columns)},
        )
        if may:
            cure = f"`REVOKE UPDATE, DELETE ON {table} FROM {role}`"
            if columns:
                cure += f" and `GRANT UPDATE ({', '.join(columns)}) ON {table} TO {role}`"
            found.append(f"the role {role} that serves CKAN may change or delete {table}: {cure}")
    return found
