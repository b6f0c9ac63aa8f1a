/**
 * Runs TypeScript sources: `node --import ./test/support/sources/loader.js FILE.ts`. A run of the tests starts hundreds
 * of short processes, and what a loader costs each of them adds up to a good part of the whole: this one does nothing
 * but strip the types, once for each text of a file.
 */
import { register } from 'node:module';

process.setSourceMapsEnabled(true);
register('./hooks.js', import.meta.url);
