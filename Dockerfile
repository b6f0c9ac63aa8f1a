# Tripline for the cluster mode: Kafka and ClickHouse are servers of their own, so the embedded engine (chdb, 540 MB) is
# left out. Build: docker build -t tripline:0.1.0 .
FROM node:20.20.2-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
COPY services/capture/package.json services/capture/package.json
COPY services/cli/bin/package.json services/cli/bin/package.json
# No package needs its install script: binaries come as packages of their own (lmdb) or are not used here.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY schemas schemas
COPY detectors detectors
COPY services services
COPY dashboards/console dashboards/console
COPY dashboards/verify dashboards/verify
RUN npm run build \
  && npm prune --omit=dev --ignore-scripts \
  && rm -rf node_modules/chdb node_modules/@chdb

FROM node:20.20.2-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/tripline
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY --from=build /build/schemas schemas
COPY --from=build /build/detectors detectors
COPY --from=build /build/services/cli/bin services/cli/bin
COPY --from=build /build/services/capture services/capture
# The code belongs to root and is read-only for the service; only the data directory is its own.
RUN install -d -o node -g node -m 0700 /var/lib/tripline
USER node
VOLUME ["/var/lib/tripline"]
EXPOSE 8747
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8747/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# No shell in between: SIGTERM reaches the service, which ends its work and stops.
ENTRYPOINT ["node", "services/cli/bin/tripline.js"]
CMD ["up", "--config", "/etc/tripline/tripline.yaml"]
