-- The valves that a version last served with, to come back with its code. Null where nobody kept them: the version was
-- replaced before this step.

ALTER TABLE function_versions ADD COLUMN valves TEXT;

UPDATE function_versions SET valves =
    (SELECT valves FROM functions WHERE functions.version_id = function_versions.version_id);
