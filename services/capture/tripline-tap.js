#!/usr/bin/env node
// Stands here for package managers, which link commands before anything is built.
await import('./dist/tripline-tap.js');
