"""No two periods of a child in one tree overlap: refused by the database itself, whoever writes.

A partial unique index (0001) allows one open link; these triggers hold closed periods apart as well.
"""

from django.db import migrations

_OVERLAP = """
    SELECT 1 FROM inventory_link AS other
    WHERE other.child_id = NEW.child_id AND other.tree = NEW.tree AND other.id <> COALESCE(NEW.id, -1)
      AND (NEW.ends_at IS NULL OR other.starts_at < NEW.ends_at)
      AND (other.ends_at IS NULL OR other.ends_at > NEW.starts_at)
"""
_SQLITE = """
CREATE TRIGGER inventory_link_{event} {when} ON inventory_link
BEGIN
    SELECT RAISE(ABORT, 'an item hangs under one parent at a time') WHERE EXISTS ({overlap});
END
"""
_POSTGRESQL = """
CREATE FUNCTION inventory_link_periods() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS ({overlap}) THEN
        RAISE EXCEPTION 'an item hangs under one parent at a time' USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER inventory_link_periods AFTER INSERT OR UPDATE ON inventory_link
    FOR EACH ROW EXECUTE FUNCTION inventory_link_periods();
"""


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(_POSTGRESQL.format(overlap=_OVERLAP))
        return
    for event in ("insert", "update"):
        schema_editor.execute(_SQLITE.format(event=event, when=f"AFTER {event.upper()}", overlap=_OVERLAP))


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER inventory_link_periods ON inventory_link")
        schema_editor.execute("DROP FUNCTION inventory_link_periods()")
        return
    for event in ("insert", "update"):
        schema_editor.execute(f"DROP TRIGGER inventory_link_{event}")


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [migrations.RunPython(create, drop)]
