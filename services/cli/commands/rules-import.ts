/** rules import: rules of other languages → YAML documents of ours on stdout, refusals on stderr. */
import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { importSigma, type SigmaImport } from '../../../detectors/sigma/import.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, visible } from '../output.ts';

function readFile(path: string): { readonly path: string; readonly text: string } {
  try {
    return { path, text: readFileSync(path, 'utf8') };
  } catch (cause) {
    throw new TriplineError('usage', `${path} cannot be read`, { path: '--sigma', cause });
  }
}

/** Prints what was imported and why the rest was not; exit 1 when something was refused or nothing imported. */
export function importRules(context: CommandContext, sigmaFiles: readonly string[]): number {
  if (sigmaFiles.length === 0)
    throw new TriplineError('usage', 'names no file to import', { path: '--sigma' });
  const outcome = importSigma(sigmaFiles.map(readFile));
  printImport(context, outcome);
  context.output.note(`${outcome.rules.length} rules imported, ${outcome.refusals.length} refused`);
  return outcome.refusals.length > 0 || outcome.rules.length === 0 ? EXIT.failed : EXIT.done;
}

function printImport({ output }: CommandContext, { rules, refusals }: SigmaImport): void {
  rules.forEach((rule, index) => {
    const separator = index === 0 ? '' : '---\n';
    // Long lines stay lines: a folded pattern is hard to compare with its source.
    output.item({ rule }, () => `${separator}${stringify(rule, { lineWidth: 0 }).trimEnd()}`);
  });
  for (const refusal of refusals) {
    const { path, line, what, why } = refusal;
    if (output.json) output.item({ refusal }, () => '');
    else output.note(`REFUSED ${path}:${line}: ${visible(what)}: ${visible(why, 400)}`);
  }
}
