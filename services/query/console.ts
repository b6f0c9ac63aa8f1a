/** The console at `/`, from the built files; without them a page that says how to build it. */
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../platform/package-root.ts';

const MISSING_PAGE = `<!doctype html><html lang="en"><title>Tripline</title><h1>Tripline runs</h1>
<p>The console is not built. Run <code>npm run build</code> and reload. The API is described at <a href="/docs">/docs</a>.</p></html>`;

const VERIFY_PAGE = 'verify.html';

export async function registerConsole(http: FastifyInstance): Promise<void> {
  const root = join(packageRoot(), 'dist', 'console');
  const open = { config: { public: true } };
  registerVerifyPage(http, root);
  if (!existsSync(join(root, 'index.html'))) {
    http.get('/', open, (_request, reply) => reply.type('text/html; charset=utf-8').send(MISSING_PAGE));
    return;
  }
  await http.register(fastifyStatic, { root, serve: false, index: false });
  http.get('/', open, (_request, reply) =>
    reply.header('cache-control', 'no-cache').sendFile('index.html', { cacheControl: false }),
  );
  // File names come from the build, never from a request.
  for (const file of filesOf(root).filter((name) => name !== VERIFY_PAGE))
    http.get(`/${file}`, open, (_request, reply) => reply.sendFile(file));
}

/** Verifies a bundle in the browser. It brings a policy of its own, which is stricter: no request to anybody. */
function registerVerifyPage(http: FastifyInstance, root: string): void {
  const file = join(root, VERIFY_PAGE);
  if (!existsSync(file)) return;
  const page = readFileSync(file, 'utf8');
  const own = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(page)?.[1];
  if (own === undefined) return;
  http.get(`/${VERIFY_PAGE}`, { config: { public: true } }, (_request, reply) =>
    reply
      .header('cache-control', 'no-cache')
      .header('content-security-policy', `${own}; frame-ancestors 'none'`)
      .type('text/html; charset=utf-8')
      .send(page),
  );
}

function filesOf(root: string): string[] {
  const assets = join(root, 'assets');
  const top = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isFile());
  const inAssets = existsSync(assets) ? readdirSync(assets) : [];
  return [
    ...top.map((entry) => entry.name).filter((name) => name !== 'index.html'),
    ...inAssets.map((name) => `assets/${name}`),
  ];
}
