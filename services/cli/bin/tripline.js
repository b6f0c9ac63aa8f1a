#!/usr/bin/env node
// Launcher of the compiled command. `npm ci` and `npm run build` compile it; nothing else is needed at run time.
import { existsSync } from 'node:fs';

const compiled = new URL('../../../dist/services/cli/main.js', import.meta.url);
if (!existsSync(compiled)) {
  process.stderr.write('tripline: not built yet; run `npm run build` once\n');
  process.exit(1);
}
const { runProcess } = await import(compiled.href);
await runProcess();
