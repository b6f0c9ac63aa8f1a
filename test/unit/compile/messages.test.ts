/** Messages of MCP beside tool calls, as the classifier and the compiler of rules see them. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { classify } from '../../../detectors/classify/index.ts';
import { loadRules } from '../../../detectors/compile/load.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');

function kindsOf(selection: Record<string, unknown>): readonly string[] {
  const text = JSON.stringify({
    id: 'test.rule',
    title: 'A rule for a test of kinds',
    description:
      'Listens to what its one selection names, and to nothing else that could come by; made for this test.',
    status: 'test',
    level: 'low',
    tags: ['test'],
    key: 'session',
    events: { one: selection },
    sequence: ['one'],
    tests: [{ name: 'none', events: [{ event: { tool: 'x' }, t: '0s' }], expect: [] }],
  });
  const { rules, faults } = loadRules([{ path: 'rule.yaml', text }], { sha256Hex });
  assert.deepEqual(faults, []);
  return rules[0]?.steps[0]?.selection.kinds ?? [];
}

describe('messages of MCP in rules', () => {
  for (const [selection, kinds] of [
    [{ 'tool.class': 'file_read' }, ['call.intent']],
    [{ 'mcp.method': 'sampling/createMessage' }, ['mcp.request']],
    [{ 'mcp.method': 'elicitation/create', 'mcp.action': 'accept' }, ['mcp.result']],
    [{ 'mcp.method': 'resources/read', 'result_text|re': 'x' }, ['mcp.result']],
    [{ 'peer.server': 'x' }, ['peer.info']],
    [
      { 'event.kind': ['call.result', 'mcp.result'], 'tool.class': 'file_read' },
      ['call.result', 'mcp.result'],
    ],
    [{ 'event.kind': 'call.intent', 'mcp.round': 2 }, ['call.intent']],
  ] as const) {
    it(`${JSON.stringify(selection)} listens to ${kinds.join(', ')}`, () =>
      assert.deepEqual(kindsOf(selection), kinds));
  }
});

describe('class of a message', () => {
  const read = (uri: string, server = 's') => ({ server, method: 'resources/read', mcp: { uri } });

  it('is that of the scheme; a scheme nobody knows is a read all the same, and so is no address at all', () => {
    const classes = [
      'file:///a',
      'https://x/',
      'VAULT://a',
      'postgresql://d',
      'memory://m',
      'made-up:x',
      'no scheme',
      '',
    ].map((uri) => classify(read(uri), []).class);
    const expected = 'file_read web_read secret_read database memory_read file_read file_read file_read';
    assert.deepEqual(classes, expected.split(' '));
    assert.deepEqual(classify({ method: 'resources/read' }, []), { class: 'file_read', source: 'resource' });
  });

  it('is decided by the mapping of a whole server first, and never by one of a tool', () => {
    const mappings = [
      { server: 's', tool: 'resources/read', class: 'payment' },
      { server: 's', class: 'secret_read' },
    ] as const;
    assert.deepEqual(classify(read('https://x/'), mappings), { class: 'secret_read', source: 'mapping' });
    assert.equal(classify(read('https://x/', 'other'), mappings).class, 'web_read');
  });

  it('is none where nothing is read, and that of the tool where the message belongs to a call', () => {
    assert.equal(classify({ server: 's', method: 'prompts/get' }, []).class, 'other');
    assert.equal(classify({ server: 'web', tool: 'web_search', method: 'tasks/result' }, []).class, 'search');
  });
});
