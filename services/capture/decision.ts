/** What a host tells of its model's choice before a call: the prompt by its hash only, the rationale in short. */
import { recordableName, type EventDraft } from './draft.ts';
import { given } from './exchange-drafts.ts';
import type { Decision } from './public.ts';
import type { Sha256Hex } from './registry.ts';

const MAX_RATIONALE_CHARACTERS = 8192;
const SHA256_HEX = /^[0-9a-f]{64}$/;

function hashOf(text: string | undefined, sha256Hex: Sha256Hex): string | undefined {
  return text === undefined ? undefined : sha256Hex(new TextEncoder().encode(text));
}

function cut(text: string | undefined, maxCharacters: number): string | undefined {
  return text?.slice(0, maxCharacters).replaceAll(/\p{Cs}/gu, '\uFFFD');
}

export function decisionDraft(
  decision: Decision,
  of: {
    readonly id: string;
    readonly server: string;
    readonly timeMs: number;
    readonly sha256Hex: Sha256Hex;
  },
): EventDraft {
  const { prompt, promptHash, rationale, model, callId } = decision;
  const isHash = promptHash !== undefined && SHA256_HEX.test(promptHash);
  const fields = {
    server: of.server,
    ...(callId === undefined ? {} : { callId: recordableName(callId) }),
    decision: given({
      id: of.id,
      promptHash: isHash ? promptHash : hashOf(prompt, of.sha256Hex),
      rationale: cut(rationale, MAX_RATIONALE_CHARACTERS),
      rationaleHash: hashOf(rationale, of.sha256Hex),
      model: model === undefined ? undefined : recordableName(model),
    }),
  };
  return { kind: 'decision', timeMs: of.timeMs, fields };
}
