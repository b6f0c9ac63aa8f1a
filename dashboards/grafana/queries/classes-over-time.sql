-- Calls over time by effective tool class. Intents count: a call that never returned is a call.
SELECT
    $__timeInterval(effective_time) AS time,
    class,
    count() AS calls
FROM tripline.events
WHERE tenant IN (${tenant:sqlstring})
    AND kind = 'call.intent'
    AND $__timeFilter(effective_time)
GROUP BY time, class
ORDER BY time, class
