/** Settings of a tap: the environment, and over it what its command line says. */
import { readSettings, type CaptureSettings, type Environment } from '../settings.ts';
import type { TapArguments } from './options.ts';

/** Throws config_invalid. */
export function tapSettings(tap: TapArguments, env: Environment): CaptureSettings {
  const settings = readSettings(env);
  return {
    ...settings,
    agent: tap.agent ?? settings.agent,
    injectTrace: tap.injectTrace || settings.injectTrace,
  };
}
