-- Calls that a kill switch or a host's policy stopped, one series a class.
SELECT
    $__timeInterval(effective_time) AS time,
    class,
    count() AS refused
FROM tripline.events
WHERE tenant IN (${tenant:sqlstring})
    AND kind = 'call.result'
    AND outcome = 'refused'
    AND $__timeFilter(effective_time)
GROUP BY time, class
ORDER BY time, class
