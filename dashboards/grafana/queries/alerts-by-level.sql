-- Alerts over time, one series a level. The alerts topic is at least once: one row counts an alert id.
SELECT
    $__timeInterval(effective_time) AS time,
    level,
    uniqExact(alert_id) AS alerts
FROM tripline.alerts
WHERE tenant IN (${tenant:sqlstring})
    AND $__timeFilter(effective_time)
GROUP BY time, level
ORDER BY time, level
