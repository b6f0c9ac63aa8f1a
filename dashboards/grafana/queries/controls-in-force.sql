-- Kill switches in force now: the newest version of each, set and not expired.
SELECT
    control_id AS control,
    scope,
    target,
    mode,
    reason,
    issued_by,
    expires_at
FROM
(
    SELECT *
    FROM tripline.controls
    WHERE tenant IN (${tenant:sqlstring}, '*')
    ORDER BY control_id, version DESC
    LIMIT 1 BY control_id
)
WHERE state = 'set'
    AND expires_at > now64(3)
ORDER BY expires_at, control
LIMIT 100
