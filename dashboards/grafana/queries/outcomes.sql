-- How calls ended, and how long they took.
SELECT
    outcome,
    count() AS calls,
    round(quantileExact(0.5)(duration_ms), 1) AS p50_ms,
    round(quantileExact(0.99)(duration_ms), 1) AS p99_ms
FROM tripline.events
WHERE tenant IN (${tenant:sqlstring})
    AND kind = 'call.result'
    AND $__timeFilter(effective_time)
GROUP BY outcome
ORDER BY calls DESC, outcome
