import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseChanges, parseFull } from '../src/requests';
import { component } from './entities';

test('changes are told by ref, in lower case', () => {
  const changes = parseChanges({ shard: 3, upserts: [component('Pay')], removals: ['API:Default/Ledger'] });

  assert.deepEqual(
    [changes.shard, changes.upserts.map(named => named.entityRef), changes.removals],
    [3, ['component:default/pay'], ['api:default/ledger']],
  );
});

test('an absent list is an empty one', () => {
  assert.deepEqual(parseChanges({ shard: 0 }), { shard: 0, upserts: [], removals: [] });
});

const refused: Record<string, [unknown, RegExp]> = {
  'no object': [[], /not a JSON object/],
  'no shard': [{ upserts: [] }, /shard is not a whole number/],
  'a shard as text': [{ shard: '3' }, /shard is not a whole number/],
  'a misspelt field': [{ shard: 3, removal: [] }, /a field that is none of shard, upserts, removals/],
  'upserts that are no list': [{ shard: 3, upserts: {} }, /upserts is not a list/],
  'an entity that cannot be named': [{ shard: 3, upserts: [component('pay'), { kind: 'API' }] }, /upserts\[1\]/],
  'a namespace of null': [{ shard: 3, upserts: [component('a', { metadata: { namespace: null } })] }, /upserts\[0\]/],
  'a removal without its kind': [{ shard: 3, removals: ['default/pay'] }, /removals\[0\]/],
  'a removal that is no text': [{ shard: 3, removals: [7] }, /removals\[0\]/],
  'an entity twice': [{ shard: 3, upserts: [component('pay'), component('PAY')] }, /named twice/],
  'an entity that is also removed': [
    { shard: 3, upserts: [component('pay')], removals: ['component:default/pay'] },
    /named twice/,
  ],
  'more than a thousand': [
    { shard: 3, removals: Array.from({ length: 1001 }, (_, i) => `api:default/a${String(i)}`) },
    /more than 1000/,
  ],
};

for (const [what, [body, told]] of Object.entries(refused)) {
  test(`changes with ${what} are refused as a whole`, () => {
    assert.throws(() => parseChanges(body), told);
  });
}

test('a full shard needs the name of its content', () => {
  assert.throws(() => parseFull({ entities: [] }), /hash is not a text/);
});

test('a full shard may have more than a thousand entities', () => {
  const entities = Array.from({ length: 1500 }, (_, i) => component(`pay-${String(i)}`));

  assert.equal(parseFull({ entities, hash: 'a' }).entities.length, 1500);
});
