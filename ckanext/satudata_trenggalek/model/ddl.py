"""Layer 0 of the gate: immediate row triggers, rendered from the workflow table.

Immediate, because CKAN writes files and Solr before it commits (ckan/logic/action/update.py), so a
deferred veto comes too late. They see every client: actions, ORM, `Query.update`, SQL.

What they hold:
- no row of `package` is not private outside a transaction that also writes its `terbitkan` event;
- the rows of a dataset change only in the statuses that somebody may edit;
- a status changes only together with an event that says so; events are append-only;
- so do publications, and the peran of an organization; an anchor is one of an event that is there;
- a name that has acted stays its user's, and ids are what core makes, names never;
- who changed a row is remembered as its maker, whichever door it came through.
They are no defence against a client that writes events itself as the same database role.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ckanext.satudata_trenggalek.workflow.table import EDITABLE, PUBLIC, SISTEM, UNGATED_TYPES

#: Constraint names that the triggers raise with; gate.py turns them into messages.
UNVERIFIED, FROZEN, UNADOPTED = "satudata_unverified", "satudata_frozen", "satudata_unadopted"
NAME_TAKEN, APPEND_ONLY = "satudata_name_taken", "satudata_append_only"
IN_USE, ID_TAKEN, ACTED = "satudata_in_use", "satudata_id_taken", "satudata_acted"


#: The form of the ids that core makes, as a regular expression of Python and PostgreSQL.
ID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

#: What no name is: an id, or one that looks like another (core lets a name end with a line feed).
_BLANK = "[[:space:][:cntrl:]]"
_NO_NAME = f"^{ID}$|{_BLANK}"
#: What is no data is public where its plugin is there to say what it is.
_HARVESTS = "to_regclass('harvest_source') IS NOT NULL"
#: The triggers look at what others did; an old snapshot does not show it.
_SEES_ALL = """
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION USING ERRCODE = '25000', MESSAGE = 'the gate wants READ COMMITTED';
  END IF;"""


def _array(values: tuple[str, ...]) -> str:
    return "ARRAY[" + ", ".join(f"'{v}'" for v in values) + "]::text[]"


def _raise(constraint: str, message: str, *args: str) -> str:
    text = f"format('{message}', {', '.join(args)})" if args else f"'{message}'"
    return (
        f"RAISE EXCEPTION USING ERRCODE = '23514', CONSTRAINT = '{constraint}', MESSAGE = {text};"
    )


#: What is only ever added to -> the columns that may be filled in later (by a withdrawal, or when a
#: comment is answered).
RECORDS: dict[str, tuple[str, ...]] = {
    "satudata_event": (),
    "satudata_anchor": (),
    "satudata_content": (),
    "satudata_publication": ("withdrawn_at", "public_note"),
    "satudata_comment": ("state", "state_by", "state_at"),
}

#: Columns of a status row that change without an event: the triggers add makers as rows change, and
#: the schedule notes each time that it tries what was refused, of which the first has an event.
UNTOLD = ("makers", "publish_error", "publish_tried_at")

_FILLED_IN = "\n  ".join(
    f"IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = '{table}' AND to_jsonb(NEW) - {_array(columns)}"
    f" = to_jsonb(OLD) - {_array(columns)} THEN RETURN NEW; END IF;"
    for table, columns in RECORDS.items()
    if columns
)

FUNCTIONS: dict[str, str] = {
    # Was this event written by the transaction that is running?
    "satudata_event_now(pkg text, names text[]) RETURNS boolean": """
BEGIN
  RETURN EXISTS (
    SELECT 1 FROM satudata_event e WHERE e.package_id = pkg AND e.event = ANY (names)
      AND e.xid = (pg_current_xact_id()::text)::bigint);
END""",
    # A row of dataset pkg is about to change: refuse when frozen, else remember its maker. The lock
    # makes a change and a decision wait for each other.
    "satudata_touch(pkg text, what text) RETURNS void": f"""
DECLARE
  -- Beside `what`, the name of a table, pkg is compared as names are, by which no index is sorted.
  dataset text COLLATE "default" := pkg;
  s satudata_status;
  actor text := current_setting('satudata.actor', true);
BEGIN
  -- The dataset first, as whoever updates its row does: all wait in one order, none for each other.
  PERFORM 1 FROM package WHERE id = dataset FOR NO KEY UPDATE;
  SELECT * INTO s FROM satudata_status WHERE package_id = dataset FOR UPDATE;
  IF NOT FOUND THEN
    IF EXISTS (SELECT 1 FROM package
               WHERE id = dataset AND type <> ALL ({_array(UNGATED_TYPES)})) THEN
      {_raise(UNADOPTED, "dataset %s has no status", "dataset")}
    -- What is no data has no files either: nobody calls data a harvest source.
    ELSIF what NOT IN ('member', 'package_relationship')
          AND EXISTS (SELECT 1 FROM package WHERE id = dataset) THEN
      {_raise(UNVERIFIED, "%s: dataset %s is none", "what", "dataset")}
    END IF;
    RETURN;
  END IF;
  IF s.status = ANY ({_array(EDITABLE)}) THEN
    IF actor <> '' AND NOT actor = ANY (s.makers) THEN
      UPDATE satudata_status SET makers = array_append(makers, actor) WHERE package_id = dataset;
    END IF;
  ELSIF NOT satudata_event_now(dataset, ARRAY['dihapus_permanen']) THEN
    {_raise(FROZEN, "%s of dataset %s: frozen in status %s", "what", "dataset", "s.status")}
  END IF;
END""",
    "satudata_guard_package() RETURNS trigger": f"""
DECLARE
  s satudata_status;
  actor text := current_setting('satudata.actor', true);
BEGIN
  IF TG_OP <> 'DELETE' AND (TG_OP = 'INSERT' OR NEW.name <> OLD.name) THEN
    IF EXISTS (SELECT 1 FROM satudata_publication
               WHERE name = NEW.name AND package_id <> NEW.id) THEN
      {_raise(NAME_TAKEN, "the name %s belongs to a published dataset", "NEW.name")}
    END IF;
    -- Core looks for a name as for an id, in the index for both at once, of which it takes the
    -- first and removes both (ckan/lib/search/query.py, index.py).
    IF NEW.name ~ '{_NO_NAME}' THEN
      {_raise(NAME_TAKEN, "%s is no name", "NEW.name")}
    END IF;
  END IF;
  IF TG_OP = 'INSERT' THEN
    -- The record of what was purged is not gone on with by something else.
    IF NEW.id !~ '^{ID}$' OR EXISTS (SELECT 1 FROM satudata_event WHERE package_id = NEW.id) THEN
      {_raise(ID_TAKEN, "the id %s belonged to a dataset", "NEW.id")}
    END IF;
    -- Rows of members say by the id alone what they are about.
    IF EXISTS (SELECT 1 FROM "user" WHERE id = NEW.id)
       OR EXISTS (SELECT 1 FROM "group" WHERE id = NEW.id)
       OR EXISTS (SELECT 1 FROM resource WHERE id = NEW.id) THEN
      {_raise(ID_TAKEN, "the id %s is not of a dataset", "NEW.id")}
    END IF;
    IF NEW.type = ANY ({_array(UNGATED_TYPES)}) AND {_HARVESTS} THEN
      RETURN NEW;
    END IF;
    IF NEW.private IS NOT TRUE THEN
      {_raise(UNVERIFIED, "dataset %s: not verified", "NEW.id")}
    END IF;
  ELSE
    IF OLD.type = ANY ({_array(UNGATED_TYPES)}) THEN
      IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
      IF NEW.type = OLD.type AND NEW.id = OLD.id AND (NEW.private OR {_HARVESTS}) THEN
        RETURN NEW;
      END IF;
    END IF;
    SELECT * INTO s FROM satudata_status WHERE package_id = OLD.id FOR UPDATE;
    IF NOT FOUND THEN
      {_raise(UNADOPTED, "dataset %s has no status", "OLD.id")}
    END IF;
    IF TG_OP = 'DELETE' THEN
      IF NOT satudata_event_now(OLD.id, ARRAY['dihapus_permanen']) THEN
        {_raise(FROZEN, "dataset %s: purged without an event", "OLD.id")}
      END IF;
      RETURN OLD;
    END IF;
    IF NEW.id <> OLD.id OR NEW.type IS DISTINCT FROM OLD.type THEN
      {_raise(FROZEN, "dataset %s: id and type never change", "OLD.id")}
    END IF;
    -- Core takes NULL for public in some places, for private in others.
    IF NEW.private IS NULL THEN
      {_raise(FROZEN, "dataset %s: either private or not", "NEW.id")}
    ELSIF NOT NEW.private AND OLD.private THEN
      IF s.status <> ALL ({_array(PUBLIC)})
         OR current_setting('satudata.gate', true) IS DISTINCT FROM NEW.id
         OR NOT satudata_event_now(NEW.id, ARRAY['terbitkan'])
         -- What lies elsewhere can change at any time, and says of itself what it likes.
         OR EXISTS (SELECT 1 FROM resource r LEFT JOIN satudata_file f ON f.resource_id = r.id
                    WHERE r.package_id = NEW.id AND r.state = 'active'
                      AND (r.url_type, r.hash, r.size)
                        IS DISTINCT FROM ('upload', f.sha256::text, f.size)) THEN
        {_raise(UNVERIFIED, "dataset %s: not verified", "NEW.id")}
      END IF;
    ELSIF NEW.private AND OLD.private IS NOT TRUE AND s.status = ANY ({_array(PUBLIC)}) THEN
      {_raise(FROZEN, "dataset %s: hidden without withdrawal", "NEW.id")}
    END IF;
    IF to_jsonb(NEW) - ARRAY['private', 'metadata_modified']
       = to_jsonb(OLD) - ARRAY['private', 'metadata_modified'] THEN
      RETURN NEW;
    END IF;
    IF s.status <> ALL ({_array(EDITABLE)}) THEN
      {_raise(FROZEN, "dataset %s: frozen in status %s", "NEW.id", "s.status")}
    END IF;
    IF NEW.state = 'deleted' AND OLD.state <> 'deleted'
       AND (s.version > 0 OR s.status <> 'draf') THEN
      {_raise(FROZEN, "dataset %s: only a draft never published is deleted", "NEW.id")}
    END IF;
    IF actor <> '' AND NOT actor = ANY (s.makers) THEN
      UPDATE satudata_status SET makers = array_append(makers, actor)
        WHERE package_id = NEW.id;
    END IF;
  END IF;
  RETURN NEW;
END""",
    # A user or group does not go on with the chain of something else, nor share an id with it.
    "satudata_new_chain(id_ text, what text) RETURNS void": f"""
DECLARE
  new text COLLATE "default" := id_;
BEGIN
  IF new !~ '^{ID}$' OR EXISTS (SELECT 1 FROM package WHERE id = new)
     OR EXISTS (SELECT 1 FROM satudata_event WHERE package_id = new
                AND event IN ('dibuat', 'adopsi'))
     OR what = 'user' AND EXISTS (SELECT 1 FROM "group" WHERE id = new)
     OR what = 'group' AND EXISTS (SELECT 1 FROM "user" WHERE id = new) THEN
    {_raise(ID_TAKEN, "the id %s is not of a %s", "new", "what")}
  END IF;
END""",
    # An organization or group that frozen datasets show keeps its name and state.
    "satudata_guard_group() RETURNS trigger": f"""
BEGIN
  IF TG_OP <> 'DELETE' AND NEW.name ~ '{_BLANK}' THEN
    {_raise(NAME_TAKEN, "%s is no name", "NEW.name")}
  END IF;
  IF TG_OP = 'INSERT' THEN
    PERFORM satudata_new_chain(NEW.id, TG_TABLE_NAME);
    RETURN NEW;
  END IF;
  IF TG_OP = 'UPDATE' AND NEW.id = OLD.id AND NEW.name = OLD.name AND NEW.state = OLD.state
     AND NEW.type = OLD.type AND NEW.is_organization IS NOT DISTINCT FROM OLD.is_organization
     AND NEW.approval_status IS NOT DISTINCT FROM OLD.approval_status THEN
    RETURN NEW;
  END IF;
  IF EXISTS (SELECT 1 FROM package p JOIN satudata_status s ON s.package_id = p.id
             WHERE s.status <> ALL ({_array(EDITABLE)})
               AND (p.owner_org = OLD.id
                    OR EXISTS (SELECT 1 FROM member m WHERE m.table_id = p.id
                                 AND m.group_id = OLD.id AND m.state = 'active'))) THEN
    {_raise(IN_USE, "group %s: frozen datasets belong to it", "OLD.id")}
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END""",
    # What counts for an organization goes with it, so that the next of its id does not inherit it.
    "satudata_follow_group() RETURNS trigger": """
BEGIN
  DELETE FROM satudata_peran WHERE organization_id = OLD.id;
  RETURN NULL;
END""",
    # At commit, since the row of a purged organization goes before its event is written.
    "satudata_agree_peran() RETURNS trigger": f"""
DECLARE
  org text := CASE WHEN TG_OP = 'INSERT' THEN NEW.organization_id ELSE OLD.organization_id END;
  told jsonb := CASE WHEN TG_OP = 'DELETE' THEN 'null' ELSE to_jsonb(NEW.peran) END;
BEGIN
  IF TG_OP = 'UPDATE' AND to_jsonb(NEW) = to_jsonb(OLD) THEN RETURN NULL; END IF;
  IF TG_OP = 'UPDATE' AND NEW.organization_id <> org OR NOT EXISTS (
      SELECT 1 FROM satudata_event e WHERE e.package_id = org AND e.event = 'peran'
        AND e.detail -> 'sesudah' = told AND e.xid = (pg_current_xact_id()::text)::bigint) THEN
    {_raise(APPEND_ONLY, "organization %s: no event for its peran", "org")}
  END IF;
  RETURN NULL;
END""",
    # Events and claims name who acted: nobody else takes the name, under which they would be one.
    "satudata_guard_user() RETURNS trigger": f"""
BEGIN
  IF TG_OP = 'INSERT' THEN PERFORM satudata_new_chain(NEW.id, TG_TABLE_NAME); END IF;
  IF TG_OP = 'UPDATE' AND NEW.id = OLD.id AND NEW.name = OLD.name THEN RETURN NEW; END IF;
  -- By their ids the makers of a dataset are known, and core takes a name for an id.
  IF TG_OP = 'UPDATE' AND NEW.id <> OLD.id OR TG_OP <> 'DELETE' AND NEW.name ~ '{_NO_NAME}'
     OR NEW.name = '{SISTEM}' OR EXISTS (
       SELECT 1 FROM satudata_event
         WHERE actor IN (NEW.name, nullif(OLD.name, '{SISTEM}'))) THEN
    {_raise(ACTED, "user %s: the record has the name", "coalesce(NEW.name, OLD.name)")}
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END""",
    # The status row follows the package row, so that no way of creating a dataset is without one.
    "satudata_follow_package() RETURNS trigger": f"""
DECLARE
  actor text := current_setting('satudata.actor', true);
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM satudata_status WHERE package_id = OLD.id;
    -- What checkers have typed on it and not sent.
    DELETE FROM satudata_draft WHERE package_id = OLD.id;
  ELSIF NEW.type <> ALL ({_array(UNGATED_TYPES)}) THEN
    INSERT INTO satudata_status (package_id, makers)
      VALUES (NEW.id, CASE WHEN actor <> '' THEN ARRAY[actor] ELSE '{{}}'::text[] END);
  END IF;
  RETURN NULL;
END""",
    "satudata_guard_resource() RETURNS trigger": f"""
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.id <> OLD.id OR NEW.package_id IS DISTINCT FROM OLD.package_id THEN
      {_raise(FROZEN, "resource %s: never moves to another dataset", "OLD.id")}
    END IF;
    -- The loader marks a table as there; nothing else is free (metadata_modified follows it). As
    -- text, since 5 and 5.000 are equal, and are read as different things.
    IF to_jsonb(NEW) - ARRAY['metadata_modified', 'extras']
       = to_jsonb(OLD) - ARRAY['metadata_modified', 'extras']
       AND (coalesce(nullif(NEW.extras, ''), '{{}}')::jsonb - 'datastore_active')::text
         = (coalesce(nullif(OLD.extras, ''), '{{}}')::jsonb - 'datastore_active')::text
       AND coalesce(jsonb_typeof(nullif(NEW.extras, '')::jsonb -> 'datastore_active'), 'boolean')
         = 'boolean' THEN
      RETURN NEW;
    END IF;
  END IF;
  IF TG_OP = 'DELETE' THEN
    PERFORM satudata_touch(OLD.package_id, 'resource ' || OLD.id);
    -- A purged resource leaves no pointer for whoever uses its id again.
    DELETE FROM satudata_file WHERE resource_id = OLD.id;
    RETURN OLD;
  END IF;
  PERFORM satudata_touch(NEW.package_id, 'resource ' || NEW.id);
  IF NEW.state = 'deleted' THEN
    -- Core lets its id be used again: nothing comes back with it. And it shows its views.
    DELETE FROM satudata_file WHERE resource_id = NEW.id;
    DELETE FROM resource_view WHERE resource_id = NEW.id;
  END IF;
  RETURN NEW;
END""",
    # Children of package and resource: which dataset does the row belong to, before and after?
    "satudata_guard_child() RETURNS trigger": """
DECLARE
  j jsonb;
  pkg text;
BEGIN
  IF TG_OP = 'UPDATE' AND to_jsonb(NEW) = to_jsonb(OLD) THEN RETURN NEW; END IF;
  FOREACH j IN ARRAY CASE TG_OP
      WHEN 'INSERT' THEN ARRAY[to_jsonb(NEW)]
      WHEN 'DELETE' THEN ARRAY[to_jsonb(OLD)]
      ELSE ARRAY[to_jsonb(OLD), to_jsonb(NEW)] END LOOP
    IF TG_TABLE_NAME IN ('resource_view', 'satudata_file') THEN
      SELECT package_id INTO pkg FROM resource WHERE id = j->>'resource_id';
      IF NOT FOUND AND TG_OP = 'INSERT' THEN
        RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = 'no such resource';
      END IF;
      PERFORM satudata_touch(pkg, TG_TABLE_NAME);
    ELSIF TG_TABLE_NAME = 'member' THEN
      IF TG_OP <> 'DELETE'
         AND to_jsonb(NEW)->>'table_name' <> ALL (ARRAY['package', 'user', 'group']) THEN
        RAISE EXCEPTION USING ERRCODE = '23514', MESSAGE = 'no such kind of member';
      END IF;
      -- Of whatever kind: core shows all groups that have the id of the dataset in a row
      -- (ckan/lib/dictization/model_dictize.py).
      PERFORM satudata_touch(j->>'table_id', TG_TABLE_NAME);
    ELSIF TG_TABLE_NAME = 'package_relationship' THEN
      PERFORM satudata_touch(j->>'subject_package_id', TG_TABLE_NAME);
      PERFORM satudata_touch(j->>'object_package_id', TG_TABLE_NAME);
    ELSE
      PERFORM satudata_touch(j->>'package_id', TG_TABLE_NAME);
    END IF;
  END LOOP;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END""",
    "satudata_guard_status() RETURNS trigger": f"""
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.status <> 'draf' OR NEW.version <> 0 THEN
      {_raise(UNVERIFIED, "dataset %s: begins as draf", "NEW.package_id")}
    END IF;
    RETURN NEW;
  ELSIF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT 1 FROM package WHERE id = OLD.package_id) THEN
      {_raise(APPEND_ONLY, "dataset %s keeps its status", "OLD.package_id")}
    END IF;
    RETURN OLD;
  END IF;
  IF NEW.package_id <> OLD.package_id THEN
    {_raise(APPEND_ONLY, "dataset %s keeps its status", "OLD.package_id")}
  END IF;
  IF NEW.status <> OLD.status AND NOT EXISTS (
      SELECT 1 FROM satudata_event e WHERE e.package_id = NEW.package_id
        AND e.from_status = OLD.status AND e.to_status = NEW.status
        AND e.xid = (pg_current_xact_id()::text)::bigint) THEN
    {_raise(APPEND_ONLY, "dataset %s: no event for %s", "NEW.package_id", "NEW.status")}
  END IF;
  IF OLD.status = ANY ({_array(EDITABLE)}) AND NEW.status <> ALL ({_array(EDITABLE)}) THEN
    -- What changes the name of a tag or group it shows, and began before, comes to its end first.
    PERFORM 1 FROM "group" WHERE id IN (
      SELECT owner_org FROM package WHERE id = NEW.package_id
      UNION SELECT group_id FROM member WHERE table_id = NEW.package_id AND state = 'active')
      ORDER BY id FOR SHARE;
    PERFORM 1 FROM tag WHERE id IN (
      SELECT tag_id FROM package_tag WHERE package_id = NEW.package_id AND state = 'active')
      ORDER BY id FOR SHARE;
  END IF;
  IF NOT OLD.makers <@ NEW.makers THEN
    {_raise(APPEND_ONLY, "dataset %s: makers are only added", "NEW.package_id")}
  END IF;
  IF NEW.version <> OLD.version AND NOT satudata_event_now(NEW.package_id, ARRAY['terbitkan']) THEN
    {_raise(APPEND_ONLY, "dataset %s: version without publication", "NEW.package_id")}
  END IF;
  IF NEW.content_hash IS DISTINCT FROM OLD.content_hash AND NOT EXISTS (
      SELECT 1 FROM satudata_event e WHERE e.package_id = NEW.package_id
        AND e.to_status = NEW.status AND coalesce(NEW.content_hash, e.content_hash)
          IS NOT DISTINCT FROM e.content_hash
        AND e.xid = (pg_current_xact_id()::text)::bigint) THEN
    {_raise(APPEND_ONLY, "dataset %s: hash without approval", "NEW.package_id")}
  END IF;
  RETURN NEW;
END""",
    # At commit: public in our table and public in CKAN's are one thing.
    "satudata_agree_status() RETURNS trigger": f"""
BEGIN
  IF EXISTS (SELECT 1 FROM package p JOIN satudata_status s ON s.package_id = p.id
             WHERE p.id = NEW.package_id
               AND (p.private IS NOT TRUE) <> (s.status = ANY ({_array(PUBLIC)}))) THEN
    {_raise(UNVERIFIED, "dataset %s: status and private disagree", "NEW.package_id")}
  END IF;
  IF TG_OP = 'UPDATE'
     AND to_jsonb(NEW) - {_array(UNTOLD)} <> to_jsonb(OLD) - {_array(UNTOLD)} AND NOT EXISTS (
       SELECT 1 FROM satudata_event e WHERE e.package_id = NEW.package_id
         AND e.xid = (pg_current_xact_id()::text)::bigint) THEN
    {_raise(APPEND_ONLY, "dataset %s: no event for where it stands", "NEW.package_id")}
  END IF;
  RETURN NULL;
END""",
    # A tag is shown by its name in all datasets that have it.
    "satudata_guard_tag() RETURNS trigger": """
BEGIN
  IF NEW.name = OLD.name AND NEW.vocabulary_id IS NOT DISTINCT FROM OLD.vocabulary_id THEN
    RETURN NEW;
  END IF;
  PERFORM satudata_touch(package_id, TG_TABLE_NAME) FROM package_tag
    WHERE tag_id = OLD.id AND state = 'active';
  RETURN NEW;
END""",
    "satudata_join_publication() RETURNS trigger": f"""
BEGIN
  IF NEW.withdrawn_at IS NOT NULL OR NEW.public_note IS NOT NULL OR NOT EXISTS (
      SELECT 1 FROM satudata_event e JOIN satudata_status s ON s.package_id = e.package_id
        JOIN package p ON p.id = e.package_id
        WHERE e.package_id = NEW.package_id AND e.event = 'terbitkan'
          AND e.xid = (pg_current_xact_id()::text)::bigint
          AND (e.content_hash, e.at, s.verified_at, s.version, p.name)
            = (NEW.content_hash, NEW.published_at, NEW.verified_at, NEW.version, NEW.name)) THEN
    {_raise(APPEND_ONLY, "dataset %s: no event for version %s", "NEW.package_id", "NEW.version")}
  END IF;
  RETURN NEW;
END""",
    "satudata_join_anchor() RETURNS trigger": f"""
BEGIN
  IF NOT EXISTS (SELECT 1 FROM satudata_event e WHERE e.package_id = NEW.package_id
                   AND e.seq = NEW.event_seq AND e.hash = NEW.event_hash) THEN
    {_raise(APPEND_ONLY, "anchor %s: no such event", "NEW.seq")}
  END IF;
  RETURN NEW;
END""",
    "satudata_guard_record() RETURNS trigger": f"""
BEGIN
  -- A publication is withdrawn once, by its event.
  IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'satudata_publication'
     AND (to_jsonb(OLD)->>'withdrawn_at' IS NOT NULL
          OR NOT satudata_event_now(to_jsonb(OLD)->>'package_id', ARRAY['tarik'])) THEN
    {_raise(APPEND_ONLY, "%s is append-only", "TG_TABLE_NAME")}
  END IF;
  {_FILLED_IN}
  {_raise(APPEND_ONLY, "%s is append-only", "TG_TABLE_NAME")}
END""",
}

FUNCTIONS = {
    signature: body.replace("\nBEGIN", _SEES_ALL, 1) if "trigger" in signature else body
    for signature, body in FUNCTIONS.items()
}

#: Records that are added to beside an event, and the functions that look for it.
JOINED = (
    ("satudata_anchor", "satudata_join_anchor"),
    ("satudata_publication", "satudata_join_publication"),
)

_ROW = "BEFORE INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW EXECUTE FUNCTION {}()"

#: table -> [(trigger name, definition)]
TRIGGERS: dict[str, tuple[tuple[str, str], ...]] = {
    "package": (
        ("satudata_guard", _ROW.format("package", "satudata_guard_package")),
        (
            "satudata_follow",
            "AFTER INSERT OR DELETE ON package FOR EACH ROW"
            " EXECUTE FUNCTION satudata_follow_package()",
        ),
    ),
    '"group"': (
        (
            "satudata_guard",
            'BEFORE INSERT OR UPDATE OR DELETE ON "group" FOR EACH ROW'
            " EXECUTE FUNCTION satudata_guard_group()",
        ),
        (
            "satudata_follow",
            'AFTER DELETE ON "group" FOR EACH ROW EXECUTE FUNCTION satudata_follow_group()',
        ),
    ),
    '"user"': (
        (
            "satudata_guard",
            'BEFORE INSERT OR UPDATE OR DELETE ON "user" FOR EACH ROW'
            " EXECUTE FUNCTION satudata_guard_user()",
        ),
    ),
    "resource": (("satudata_guard", _ROW.format("resource", "satudata_guard_resource")),),
    "tag": (
        (
            "satudata_guard",
            "BEFORE UPDATE ON tag FOR EACH ROW EXECUTE FUNCTION satudata_guard_tag()",
        ),
    ),
    **{
        table: (("satudata_guard", _ROW.format(table, "satudata_guard_child")),)
        for table in (
            "package_tag",
            "member",
            "package_relationship",
            "resource_view",
            "satudata_file",
        )
    },
    "satudata_status": (
        ("satudata_guard", _ROW.format("satudata_status", "satudata_guard_status")),
        (
            "satudata_agree",
            "AFTER INSERT OR UPDATE ON satudata_status DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION satudata_agree_status()",
        ),
    ),
    "satudata_peran": (
        (
            "satudata_agree",
            "AFTER INSERT OR UPDATE OR DELETE ON satudata_peran DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION satudata_agree_peran()",
        ),
    ),
    **{
        table: (
            (
                "satudata_guard",
                f"BEFORE UPDATE OR DELETE ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION satudata_guard_record()",
            ),
            *(
                (
                    "satudata_join",
                    f"BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
                )
                for joined, function in JOINED
                if joined == table
            ),
        )
        for table in RECORDS
    },
}


def install(connection: Connection) -> None:
    """Create or replace every function and trigger, and take rights from roles. Idempotent.

    Tables that a later migration makes are left to that migration.

    Args:
        connection: of a role that owns the tables.
    """
    for signature, body in FUNCTIONS.items():
        statement = f"CREATE OR REPLACE FUNCTION {signature} LANGUAGE plpgsql AS $satudata$"
        connection.exec_driver_sql((statement + body + "\n$satudata$").replace("%", "%%"))
    for table, triggers in TRIGGERS.items():
        if not _exists(connection, table):
            continue
        for name, definition in triggers:
            kind = "CONSTRAINT TRIGGER" if "DEFERRABLE" in definition else "TRIGGER"
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
            connection.exec_driver_sql(f"CREATE {kind} {name} {definition}")
            # ALWAYS: session_replication_role, which restores use, does not switch it off.
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")

    restrict(connection)


def restrict(connection: Connection) -> None:
    """Leave roles that are not the owner of a record nothing but INSERT and SELECT on it.

    Args:
        connection: of the owner.
    """
    quote = connection.dialect.identifier_preparer.quote
    for table, columns in RECORDS.items():
        if not _exists(connection, table):
            continue
        grantees = connection.execute(
            sa.text(
                "SELECT coalesce(r.rolname, 'public') AS name, r.rolname IS NULL AS everybody,"
                " bool_or(a.privilege_type = 'INSERT') AS writes"
                " FROM pg_class c, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
                " WHERE c.oid = to_regclass(:table) AND a.grantee <> c.relowner GROUP BY 1, 2"
            ),
            {"table": table},
        ).all()
        for row in grantees:
            name = "PUBLIC" if row.everybody else quote(row.name)
            connection.exec_driver_sql(
                f"REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON {table} FROM {name}"
            )
            if row.writes and columns:
                connection.exec_driver_sql(
                    f"GRANT UPDATE ({', '.join(columns)}) ON {table} TO {name}"
                )


def _exists(connection: Connection, table: str) -> bool:
    return bool(connection.scalar(sa.text("SELECT to_regclass(:table)"), {"table": table}))


def uninstall(connection: Connection) -> None:
    """Remove every function and trigger; the portal then refuses to publish."""
    for table, triggers in TRIGGERS.items():
        for name, _definition in triggers:
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
    for signature in FUNCTIONS:
        name = signature.split("(")[0]
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name} CASCADE")


def _expected(definition: str) -> tuple[int, str, bool, bool]:
    """pg_trigger.tgtype (PostgreSQL's src/include/catalog/pg_trigger.h), function, deferred.

    The last is told twice: whether it can be, and whether it is.
    """
    events = definition.split(" ON ")[0]
    bits = (("BEFORE", 2), ("INSERT", 4), ("DELETE", 8), ("UPDATE", 16))
    return (
        1 + sum(bit for word, bit in bits if word in events),
        definition.split("FUNCTION ")[1],
        "DEFERRABLE" in definition,
        "DEFERRED" in definition,
    )


#: What stands on a guarded table beside its triggers, and the statement that removes it. A trigger
#: that fires later, a rule or a child table changes what ours have let through, or hides rows.
_BESIDE = """
SELECT 'trigger ' || quote_ident(tgname) || ' on ' || tgrelid::regclass,
       format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
  FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY (:tables)
   AND tgname || ' ' || tgrelid::regclass <> ALL (:triggers)
UNION ALL SELECT 'rule ' || quote_ident(rulename) || ' on ' || ev_class::regclass,
       format('DROP RULE %I ON %s', rulename, ev_class::regclass)
  FROM pg_rewrite WHERE ev_class::regclass::text = ANY (:tables)
UNION ALL SELECT 'row security of ' || oid::regclass,
       format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY',
              oid::regclass)
  FROM pg_class WHERE (relrowsecurity OR relforcerowsecurity)
   AND oid::regclass::text = ANY (:tables)
UNION ALL SELECT 'table ' || inhrelid::regclass || ' in ' || inhparent::regclass,
       format('ALTER TABLE %s NO INHERIT %s', inhrelid::regclass, inhparent::regclass)
  FROM pg_inherits WHERE inhparent::regclass::text = ANY (:tables)
ORDER BY 1
"""


def faults(connection: Connection) -> dict[str, str | None]:
    """What of layer 0 is absent, switched off or altered, and what stands beside it.

    Returns:
        names such as "trigger satudata_guard on package", each with the statement that removes
        what is not ours; None for what `install` puts right.
    """
    triggers = {
        (row.table, row.tgname): (
            row.tgtype, row.function, row.tgdeferrable, row.tginitdeferred
        )
        for row in connection.execute(
            sa.text(
                "SELECT tgrelid::regclass::text AS table, tgname, tgtype,"
                " tgfoid::regprocedure::text AS function, tgdeferrable, tginitdeferred"
                # `UPDATE OF` some columns, and `WHEN`, let the rest through.
                " FROM pg_trigger WHERE tgname LIKE 'satudata_%' AND tgenabled = 'A'"
                " AND tgqual IS NULL AND tgattr::text = '' AND tgnargs = 0"
            )
        )
    }  # fmt: skip
    found: dict[str, str | None] = {
        f"trigger {name} on {table}": None
        for table, wanted in TRIGGERS.items()
        for name, definition in wanted
        if triggers.get((table, name)) != _expected(definition)
    }
    functions = {
        row.signature: row.definition
        for row in connection.execute(
            sa.text(
                "SELECT oid::regprocedure::text AS signature,"
                " CASE WHEN prokind = 'f' THEN pg_get_functiondef(oid) END AS definition"
                " FROM pg_proc WHERE proname LIKE 'satudata_%' AND pg_function_is_visible(oid)"
            )
        )
    }
    schema = connection.scalar(sa.text("SELECT quote_ident(current_schema())"))
    for signature, body in FUNCTIONS.items():
        head, returned = signature.split(" RETURNS ")
        name, arguments = head.rstrip(")").split("(")
        types = [argument.split()[-1] for argument in arguments.split(",") if argument]
        standing = functions.pop(f"{name}({','.join(types)})", None)
        if standing != (
            f"CREATE OR REPLACE FUNCTION {schema}.{head}\n RETURNS {returned}\n LANGUAGE plpgsql"
            f"\nAS $function${body}\n$function$\n"
        ):
            found[f"function {name}"] = None
    names = {signature.split("(")[0] for signature in FUNCTIONS}
    for signature in functions:
        # PostgreSQL calls whichever fits the arguments best.
        if signature.split("(")[0] in names:
            found[f"function {signature}"] = f"DROP ROUTINE {signature}"
    ours = [f"{name} {table}" for table in TRIGGERS for name, _definition in TRIGGERS[table]]
    beside = connection.execute(sa.text(_BESIDE), {"tables": list(TRIGGERS), "triggers": ours})
    found.update((what, cure) for what, cure in beside)
    return found


def missing(connection: Connection) -> list[str]:
    """The names of `faults`; empty when the gate stands."""
    return list(faults(connection))
