-- Choices of the variable `tenant`. Limit what a reader sees by the ClickHouse user of the data source, not by this list.
SELECT DISTINCT tenant
FROM tripline.events
ORDER BY tenant
LIMIT 1000
