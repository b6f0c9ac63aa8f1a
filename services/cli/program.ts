/** The command line: names, options and help. Every action is imported when it runs, so that a tap starts fast. */
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../platform/package-root.ts';
import { EXIT, Output, type CommandIo } from './output.ts';
import type { Run } from './program/define.ts';
import { addService, addGate } from './program/service.ts';
import { addReading, addDisposition } from './program/reading.ts';
import { addControls, addApprove, addPolicy, addRedaction } from './program/controls.ts';
import { addEvidence, addExport, addErasure, addKeys } from './program/evidence.ts';
import { addRules, addBacktest } from './program/rules.ts';
import { addOperation, addCapture } from './program/operation.ts';

/** Runs one command line (without node and script name); answers the exit code. Never throws. */
export async function runCommandLine(argv: readonly string[], io: CommandIo): Promise<number> {
  const json = argv.includes('--json');
  const output = new Output(io, json);
  let exitCode: number = EXIT.done;
  const program = buildProgram(io, async (action, operands, options) => {
    exitCode = (await action({ io, output }, operands, options)) ?? EXIT.done;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return output.fail(error);
  }
}

function buildProgram(io: CommandIo, run: Run): Command {
  const program = new Command('tripline')
    .description('Flight recorder and tripwire for MCP agents.')
    .version(packageVersion(), '-V, --version', 'the version, and nothing else')
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .showHelpAfterError('(see --help)');
  addService(program, run);
  addGate(program, run);
  addReading(program, run);
  addDisposition(program, run);
  addControls(program, run);
  addApprove(program, run);
  addPolicy(program, run);
  addRedaction(program, run);
  addEvidence(program, run);
  addExport(program, run);
  addErasure(program, run);
  addKeys(program, run);
  addRules(program, run);
  addBacktest(program, run);
  addOperation(program, run);
  addCapture(program, run);
  return program;
}
