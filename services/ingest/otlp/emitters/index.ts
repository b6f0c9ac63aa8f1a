/** All instrumentations that we know, the particular before the general: some put GenAI attributes on spans of their own form. */
import type { OtlpSpan } from '../model.ts';
import type { ToolCall } from '../tool-call.ts';
import { genAiCall, genAiUnoffered } from './gen-ai.ts';
import { genkitCall } from './genkit.ts';
import { openInferenceCall } from './openinference.ts';
import { traceloopCall } from './traceloop.ts';
import { vercelAiCall, vercelAiUnoffered } from './vercel-ai.ts';

export { claudeCodeCall } from './claude-code.ts';

const CALLS = [traceloopCall, openInferenceCall, vercelAiCall, genkitCall, genAiCall];
const UNOFFERED = [genAiUnoffered, vercelAiUnoffered];

/** The call that a span is; undefined for spans of anything else. */
export function toolCallOf(span: OtlpSpan): ToolCall | undefined {
  for (const read of CALLS) {
    const call = read(span);
    if (call !== undefined) return call;
  }
  return undefined;
}

/** Calls that a model asked for in the span and nobody can have run. */
export function unofferedCallsOf(span: OtlpSpan): readonly ToolCall[] {
  return UNOFFERED.flatMap((read) => read(span));
}
