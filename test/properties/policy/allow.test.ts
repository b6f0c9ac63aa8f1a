/** In mode enforce nothing leaves that no line of `allow` covers, whatever else the policy says and however it is called. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { it } from 'node:test';
import { TOOL_CLASSES, type ToolClass } from '../../../schemas/event/v1.ts';
import { decidePolicy, hiddenBy, type PolicyQuestion } from '../../../schemas/policy/decide.ts';
import { zPolicy, type PolicyLine } from '../../../schemas/policy/v1.ts';

const names = fc.constantFrom('a', 'b', 'ab', 'b*', '*', 'a*', '*b', 'prod');
const classes = fc.constantFrom<ToolClass>(...TOOL_CLASSES.slice(0, 4));
const list = fc.uniqueArray(names, { minLength: 1, maxLength: 3 });
const selector = fc.record(
  {
    agents: list,
    environments: list,
    tasks: list,
    servers: list,
    tools: list,
    classes: fc.uniqueArray(classes, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const lines = fc.array(selector, { maxLength: 4 });
const labelled = fc.array(fc.tuple(selector, fc.option(fc.constant(['secret']))), { maxLength: 3 });
const policies = fc
  .record({ allow: lines, deny: labelled, hide: lines, approvals: lines, hideUnallowed: fc.boolean() })
  .map(({ allow, deny, hide, approvals, hideUnallowed }) =>
    zPolicy.parse({
      v: 1,
      id: 'p',
      version: 1,
      mode: 'enforce',
      hideUnallowed,
      allow: allow.map((line, at) => ({ id: `a${at}`, ...line })),
      deny: deny.map(([line, labels], at) => ({
        id: `d${at}`,
        ...line,
        ...(labels === null ? {} : { labels }),
      })),
      hide: hide.map((line, at) => ({ id: `h${at}`, ...line })),
      approvals: approvals.map((line, at) => ({ id: `p${at}`, ...line })),
    }),
  );
const plain = fc.constantFrom('a', 'b', 'ab', 'ba', 'prod', 'aab', '*', 'A');
const questions: fc.Arbitrary<PolicyQuestion> = fc.record({
  kind: fc.constantFrom('call' as const, 'read' as const),
  agent: plain,
  environment: fc.option(plain, { nil: undefined }),
  task: fc.option(plain, { nil: undefined }),
  server: fc.option(plain, { nil: undefined }),
  tool: plain,
  class: classes,
  ambiguous: fc.boolean(),
  labels: fc.constantFrom(
    () => [],
    () => ['secret'],
  ),
});

/** Written anew with a regular expression: not by the code under test. */
function covers(line: PolicyLine, question: PolicyQuestion): boolean {
  const holds = (patterns: readonly string[] | undefined, text: string | undefined): boolean =>
    patterns === undefined ||
    (text !== undefined &&
      patterns.some((one) =>
        new RegExp(
          `^${one
            .split('*')
            .map((part) => part.replaceAll(/[^\w]/gu, '\\$&'))
            .join('[^]*')}$`,
          'u',
        ).test(text),
      ));
  return (
    holds(line.agents, question.agent) &&
    holds(line.environments, question.environment) &&
    holds(line.tasks, question.task) &&
    holds(line.servers, question.server) &&
    holds(line.tools, question.tool) &&
    holds(line.classes, question.class)
  );
}

/** What allowed calls meet, by whether a line asks for an approval. */
const LEAVING = {
  call: { asked: 'approve', free: 'allow' },
  read: { asked: 'refuse', free: 'allow' },
} as const;

it('what leaves is covered by a line of allow and by none of deny and hide; the rest is refused', () => {
  let allowed = 0;
  fc.assert(
    fc.property(policies, questions, (policy, question) => {
      const isAllowed = policy.allow.some((line) => covers(line, question));
      const labels = question.labels();
      const isDenied = policy.deny.some(
        (line) =>
          covers(line, question) &&
          (line.labels === undefined || line.labels.some((one) => labels.includes(one))),
      );
      const isHidden = policy.hide.some((line) => covers(line, question));
      const asks = policy.approvals.some((line) => covers(line, question));
      const { effect } = decidePolicy(policy, question);
      const mayLeave = isAllowed && !isDenied && !isHidden && !question.ambiguous;
      assert.equal(effect, mayLeave ? LEAVING[question.kind][asks ? 'asked' : 'free'] : 'refuse');
      assert.equal(
        hiddenBy(policy, question) !== undefined,
        isHidden || (policy.hideUnallowed && !isAllowed),
      );
      if (effect === 'allow') allowed++;
    }),
    { numRuns: 3_000 },
  );
  assert.ok(allowed > 50, `${allowed} of the cases are allowed`);
});
