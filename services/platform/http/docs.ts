/** OpenAPI at /docs, made from the routes' own schemas; no external request. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';

/** Everything comes from this origin; the library needs inline styles. */
const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

const STATUS_ROUTES: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

/** The API and the status routes; the console's page and files are no API. Routes without a tag get one by their path. */
const transform: typeof jsonSchemaTransform = (route) => {
  const { schema, url, ...rest } = jsonSchemaTransform(route);
  if (!url.startsWith('/v1/') && !STATUS_ROUTES.has(url)) return { ...rest, url, schema: { hide: true } };
  const group = url.startsWith('/v1/') ? (url.split('/')[2] ?? 'api') : 'status';
  return { ...rest, url, schema: { tags: [group], ...schema } };
};

export async function registerDocs(http: FastifyInstance): Promise<void> {
  await http.register(swagger, {
    openapi: {
      info: { title: 'Tripline', description: 'Flight recorder and tripwire for MCP agents.', version: '1' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{ bearer: [] }],
    },
    transform,
  });
  await http.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_CSP });
}
