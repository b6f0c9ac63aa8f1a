-- Which rules fire, and for how many sessions.
SELECT
    rule_id AS rule,
    any(level) AS level,
    uniqExact(alert_id) AS alerts,
    uniqExact(session_id) AS sessions,
    max(effective_time) AS latest
FROM tripline.alerts
WHERE tenant IN (${tenant:sqlstring})
    AND $__timeFilter(effective_time)
GROUP BY rule_id
ORDER BY alerts DESC, rule
LIMIT 50
