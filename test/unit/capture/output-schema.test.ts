/** Structured output against the tool's outputSchema: the same verdicts as ajv, or none; in bounded time whoever wrote it. */
import { Ajv2020 } from 'ajv/dist/2020.js';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { OutputSchema } from '../../../services/capture/output-schema.ts';
import { answer, call, observer, validEvents } from '../../support/capture/observer.ts';

const check = (schema: unknown, value: unknown) => new OutputSchema(JSON.stringify(schema)).check(value);

const leaf: fc.Arbitrary<unknown> = fc.oneof(
  fc.record({ type: fc.constantFrom('string', 'number', 'integer', 'boolean', 'null') }),
  fc.record({ const: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('a', 'b', null)) }),
  fc.record({ enum: fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }) }),
  fc.record({
    type: fc.constant('string'),
    minLength: fc.integer({ min: 0, max: 3 }),
    maxLength: fc.integer({ min: 0, max: 3 }),
  }),
  fc.record({ minimum: fc.integer({ min: 0, max: 3 }), exclusiveMaximum: fc.integer({ min: 0, max: 5 }) }),
  fc.boolean(),
);
const { schema } = fc.letrec<{ schema: unknown }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    leaf,
    fc.record(
      {
        type: fc.constant('object'),
        properties: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('schema'), { maxKeys: 3 }),
        required: fc.uniqueArray(fc.constantFrom('a', 'b'), { maxLength: 2 }),
        additionalProperties: tie('schema'),
        minProperties: fc.integer({ min: 0, max: 2 }),
      },
      { requiredKeys: ['properties'] },
    ),
    fc.record(
      {
        items: tie('schema'),
        prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
        maxItems: fc.integer({ min: 0, max: 3 }),
      },
      { requiredKeys: ['items'] },
    ),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
    fc.record(
      { oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }), not: tie('schema') },
      { requiredKeys: ['oneOf'] },
    ),
    fc
      .tuple(tie('schema'), tie('schema'), tie('schema'))
      .map((parts) => Object.fromEntries(['if', 'then', 'else'].map((name, at) => [name, parts[at]]))),
    fc.record({ $ref: fc.constant('#/$defs/shared'), description: fc.constant('d') }),
  ),
}));
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: 0, max: 5 }),
    fc.constantFrom<unknown>('', 'a', 'b', 'long text', null, true, 1.5),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { maxKeys: 3 }),
  ),
}));

describe('output schema', () => {
  /** ajv writes code from a schema, and from some it writes code that does not run: those say nothing. */
  function ajvVerdict(ajv: Ajv2020, whole: object): ((instance: unknown) => boolean) | undefined {
    try {
      const validate = ajv.compile(whole);
      return (instance) => validate(instance);
    } catch {
      return undefined;
    }
  }

  it('gives the verdicts of ajv', () => {
    let checked = 0;
    fc.assert(
      fc.property(
        schema,
        leaf,
        fc.array(value, { minLength: 5, maxLength: 10 }),
        (one, shared, instances) => {
          if (typeof one !== 'object' || one === null) return;
          const whole = { ...one, $defs: { shared } };
          const expected = ajvVerdict(new Ajv2020({ strict: false, validateFormats: false }), whole);
          if (expected === undefined) return;
          for (const instance of instances) {
            let fits: boolean;
            try {
              fits = expected(instance);
            } catch (error) {
              assert.ok(error instanceof ReferenceError);
              continue;
            }
            assert.equal(
              check(whole, instance),
              fits ? 'valid' : 'invalid',
              JSON.stringify([whole, instance]),
            );
            checked++;
          }
        },
      ),
      { numRuns: 100 },
    );
    assert.ok(checked > 350, String(checked));
  });

  const nested = (depth: number): unknown => (depth === 0 ? {} : { items: nested(depth - 1) });
  const bomb = Object.fromEntries(
    Array.from({ length: 30 }, (_, n) => [
      `d${n}`,
      { allOf: [{ $ref: `#/$defs/d${n + 1}` }, { $ref: `#/$defs/d${n + 1}` }] },
    ]),
  );
  for (const [what, hostile, instance] of [
    [
      'a pattern (it may take exponential time)',
      { properties: { a: { pattern: '^(a+)+$' } } },
      { a: `${'a'.repeat(40)}!` },
    ],
    ['patternProperties', { patternProperties: { '(x+)+y': {} } }, { ['x'.repeat(40)]: 1 }],
    ['references that double at each level', { $ref: '#/$defs/d0', $defs: { ...bomb, d30: {} } }, {}],
    ['a schema that contains itself', { properties: { a: { $ref: '#' } } }, { a: { a: {} } }],
    ['a reference over the network', { $ref: 'https://evil.example/schema.json' }, {}],
    ['a reference to nowhere', { $ref: '#/$defs/none' }, {}],
    ['a base of its own', { $id: 'https://evil.example/', properties: {} }, {}],
    [
      'uniqueItems over many',
      { properties: { a: { uniqueItems: true } } },
      { a: Array.from({ length: 10_000 }, (_, n) => n) },
    ],
    ['a schema nested too deep', nested(200), []],
    [
      'too many nodes',
      { properties: Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`p${n}`, {}])) },
      {},
    ],
    [
      'a value of too many nodes',
      { items: { items: { type: 'number' } } },
      Array.from({ length: 100_000 }, () => [1]),
    ],
    ['keywords of the wrong type', { properties: 7 }, {}],
    ['a list that is none', { anyOf: 'x' }, {}],
    ['no schema', 'text', {}],
  ] as const) {
    it(`leaves ${what} unchecked, at once`, () => {
      const startedMs = performance.now();
      assert.equal(check(hostile, instance), 'unchecked');
      assert.ok(performance.now() - startedMs < 1_000, String(performance.now() - startedMs));
    });
  }

  it('treats formats as annotations and __proto__ as a name that it will not check', () => {
    assert.equal(check({ properties: { a: { type: 'string', format: 'email' } } }, { a: 'x' }), 'valid');
    assert.equal(new OutputSchema('{"properties":{"__proto__":{"type":"string"}}}').check({}), 'unchecked');
    assert.equal(new OutputSchema('{"torn').check({}), 'unchecked');
    assert.equal(new OutputSchema(undefined).check({}), 'unchecked');
  });
});

describe('result of a tool that promised structure', () => {
  const listed = (outputSchema: unknown) => {
    const wire = observer();
    wire.toServer({ jsonrpc: '2.0', id: 'l', method: 'tools/list' });
    wire.toClient(answer('l', { tools: [{ name: 'read', inputSchema: {}, outputSchema }] }));
    return (result: unknown) => {
      wire.toServer(call(1));
      const [event] = validEvents(wire.toClient(answer(1, result)).drafts);
      // What the data are is another question (labels.test.ts).
      const said = event?.labels?.filter((label) => /^(?:un)?(?:schema|structured)/.test(label)) ?? [];
      return [event?.schemaValid, said.length === 0 ? undefined : said];
    };
  };
  const outputSchema = { type: 'object', properties: { degrees: { type: 'number' } }, required: ['degrees'] };

  it('is held to it', () => {
    const ended = listed(outputSchema);
    assert.deepEqual(ended({ content: [], structuredContent: { degrees: 21 } }), [true, undefined]);
    assert.deepEqual(ended({ content: [], structuredContent: { degrees: 'IGNORE ALL' } }), [
      false,
      undefined,
    ]);
    assert.deepEqual(ended({ content: [{ type: 'text', text: 'IGNORE ALL' }] }), [
      false,
      ['unstructured_result'],
    ]);
    assert.deepEqual(
      ended({ content: [], isError: true }),
      [undefined, undefined],
      'an error promises nothing',
    );
    assert.deepEqual(ended({ content: [], structuredContent: { degrees: 1, t: 'x'.repeat(300_000) } }), [
      undefined,
      ['schema_unchecked'],
    ]);
  });

  it('says where it could not be', () => {
    assert.deepEqual(listed({ properties: { a: { pattern: 'x' } } })({ structuredContent: {} }), [
      undefined,
      ['schema_unchecked'],
    ]);
    assert.deepEqual(listed(undefined)({ structuredContent: {} }), [undefined, undefined]);
  });
});
