#!/usr/bin/env node
/** The tap as a program of its own: `tripline-tap [options] -- COMMAND ARGS…`, as `tripline tap` takes them. */
import { isMainThread } from 'node:worker_threads';
import { runTap } from '../tap/main.ts';

// Its recording thread is this file again: it may be all that there is.
if (isMainThread)
  process.exitCode = await runTap(process.argv.slice(2), process.env, process, new URL(import.meta.url));
else await import('../tap/record-thread.ts');
