/** LangChain's ToolMessage as it stands serialised in outputs of its instrumentations. */
import { bodyOf, objectOf, objectUnder, own, textIn } from '../attributes.ts';

export interface ToolMessage {
  readonly name: string | undefined;
  readonly content: string | undefined;
  readonly toolCallId: string | undefined;
  readonly failed: boolean;
}

/** The message of a serialised output (`{lc, kwargs}`, also inside `{output}`); undefined for anything else. */
export function toolMessageOf(output: unknown): ToolMessage | undefined {
  const message = objectUnder(output, 'output') ?? objectOf(output);
  const kwargs = objectUnder(message, 'kwargs');
  if (message === undefined || kwargs === undefined || own(message, 'lc') !== 1) return undefined;
  return {
    name: textIn(kwargs, 'name'),
    content: bodyOf(own(kwargs, 'content')),
    toolCallId: textIn(kwargs, 'tool_call_id'),
    failed: own(kwargs, 'status') === 'error',
  };
}
