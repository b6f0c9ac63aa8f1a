-- The newest alerts, each once, with the calls of its chain.
SELECT
    effective_time AS time,
    level,
    rule_id AS rule,
    title,
    session_id AS session,
    agent,
    mode,
    arrayStringConcat(JSONExtract(body, 'calls', 'Array(Tuple(tool String))').tool, ' → ') AS chain,
    alert_id AS alert
FROM tripline.alerts
WHERE tenant IN (${tenant:sqlstring})
    AND $__timeFilter(effective_time)
ORDER BY effective_time DESC, alert_id
LIMIT 1 BY alert_id
LIMIT 100
