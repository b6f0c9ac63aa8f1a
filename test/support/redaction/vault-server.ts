/** The vault on stdio; its value and the file of what reached it stand in the environment. */
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { appendFileSync } from 'node:fs';
import { vaultServer } from './vault.ts';

const { VAULT_VALUE = '', REACHED_FILE = '' } = process.env;
const server = vaultServer(VAULT_VALUE, (body) => appendFileSync(REACHED_FILE, `${body}\n`));
process.stdin.on('end', () => process.exit(0));
await server.connect(new StdioServerTransport());
