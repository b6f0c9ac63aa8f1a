/** gate: runs the HTTP gate until SIGTERM or SIGINT. */
import { stringify } from 'yaml';
import { TriplineError } from '../../../schemas/errors.ts';
import { zGateConfig, type GateConfig } from '../../../schemas/gate/v1.ts';
import { checked, readYaml, type Tree } from '../../platform/config/document.ts';
import { maskSecrets } from '../../platform/config/secrets.ts';
import type { CommandContext } from '../command.ts';
import { EXIT } from '../output.ts';

export interface GateOptions {
  readonly config: string | undefined;
  readonly upstream: string | undefined;
  readonly server: string | undefined;
  readonly port: string | undefined;
  readonly agent: string | undefined;
  readonly check: boolean;
}

/** Answers when the gate has stopped cleanly. With --json one line says when it is ready. */
export async function gate({ io, output }: CommandContext, options: GateOptions): Promise<number> {
  const config = configOf(options);
  const { resolveGateConfig } = await import('../../capture/gate/config.ts');
  if (options.check) {
    resolveGateConfig(config, io.env);
    const masked = maskSecrets(config);
    output.item(masked, () => stringify(masked).trimEnd());
    return EXIT.done;
  }
  const { runGate } = await import('../../capture/gate/main.ts');
  const running = await runGate(config, io.env, io.err);
  output.item({ ready: true, url: running.url, upstreams: running.endpoints }, () =>
    running.endpoints.map(({ server, url }) => `${server}  ${url}`).join('\n'),
  );
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) resolve();
    else io.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await running.stop();
  return EXIT.done;
}

function configOf(options: GateOptions): GateConfig {
  const faults: string[] = [];
  const tree = options.config === undefined ? simpleTree(options) : readYaml(options.config, faults);
  if (options.port !== undefined)
    tree['listen'] = { ...(tree['listen'] as Tree | undefined), ...portOf(options) };
  return checked(zGateConfig, tree, faults);
}

function simpleTree({ upstream, server, agent }: GateOptions): Tree {
  if (upstream === undefined || server === undefined)
    throw new TriplineError('usage', 'gate takes --config FILE, or --upstream URL and --server NAME', {
      path: '--upstream',
    });
  return { upstreams: [{ name: server, url: upstream, ...(agent === undefined ? {} : { agent }) }] };
}

function portOf({ port }: GateOptions): Tree {
  return { port: /^\d+$/u.test(port ?? '') ? Number(port) : port };
}
