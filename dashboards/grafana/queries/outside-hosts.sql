-- Hosts outside that calls reached for, by number of calls, with how many sessions did.
SELECT
    dest_host AS host,
    count() AS calls,
    uniqExact(session_id) AS sessions,
    arrayStringConcat(arraySort(groupUniqArray(10)(toString(class))), ', ') AS classes,
    max(effective_time) AS latest
FROM tripline.events
WHERE tenant IN (${tenant:sqlstring})
    AND kind = 'call.intent'
    AND dest_host != ''
    AND $__timeFilter(effective_time)
GROUP BY dest_host
ORDER BY calls DESC, host
LIMIT 50
