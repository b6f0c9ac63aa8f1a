/** One file for Node: all that it is made of is inlined, so that it runs from an empty folder. */
import { join } from 'node:path';
import { defineConfig } from 'vite';

export default defineConfig({
  ssr: { noExternal: true, target: 'node' },
  build: {
    ssr: join(import.meta.dirname, 'main.ts'),
    target: 'node20',
    minify: false,
    rolldownOptions: { output: { entryFileNames: 'tripline-verify.mjs', codeSplitting: false } },
  },
});
