-- Bytes that could not be read as events, by reason.
SELECT
    $__timeInterval(append_time) AS time,
    code,
    count() AS lines
FROM tripline.dead_letters
WHERE tenant IN (${tenant:sqlstring})
    AND $__timeFilter(append_time)
GROUP BY time, code
ORDER BY time, code
