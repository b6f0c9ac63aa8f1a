/** The console at `/`, from the built files; without them a page that says how to build it. */
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../platform/package-root.ts';

const MISSING_PAGE = `<!doctype html><html lang="en"><title>Tripline</title><h1>Tripline runs</h1>
<p>The console is not built. Run <code>npm run build</code> and reload. The API is described at <a href="/docs">/docs</a>.</p></html>`;

export async function registerConsole(http: FastifyInstance): Promise<void> {
  const root = join(packageRoot(), 'dist', 'console');
  const open = { config: { public: true } };
  if (!existsSync(join(root, 'index.html'))) {
    http.get('/', open, (_request, reply) => reply.type('text/html; charset=utf-8').send(MISSING_PAGE));
    return;
  }
  await http.register(fastifyStatic, { root, serve: false, index: false });
  http.get('/', open, (_request, reply) =>
    reply.header('cache-control', 'no-cache').sendFile('index.html', { cacheControl: false }),
  );
  // File names come from the build, never from a request.
  for (const file of filesOf(root)) http.get(`/${file}`, open, (_request, reply) => reply.sendFile(file));
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
