import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc, { readConfigureGlobal } from 'fast-check';

const given = process.env['PROPERTY_SEED'];

test('properties of any test file have the seed of the run', { skip: given === 'random' }, () => {
  assert.equal(readConfigureGlobal().seed, Number(given ?? '20261123'));
  let values: number[] = [];
  const draw = (): number[] => {
    values = [];
    fc.assert(fc.property(fc.integer(), (value) => void values.push(value)));
    return values;
  };
  assert.deepEqual(draw(), draw());
});
