#!/usr/bin/env node
/** The tap as a program of its own: `tripline-tap [options] -- COMMAND ARGS…`, as `tripline tap` takes them. */
import { runTap } from '../tap/main.ts';

process.exitCode = await runTap(process.argv.slice(2), process.env, process);
