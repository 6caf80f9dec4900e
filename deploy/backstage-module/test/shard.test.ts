import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Entity } from '@backstage/catalog-model';
import { ShardProvider } from '../src/provider';
import { parseChanges, parseFull } from '../src/requests';
import { Shard } from '../src/shard';
import { EntityChecker } from '../src/validation';
import { Catalogue } from './catalogue';
import { component } from './entities';

const PAY = 'component:default/pay';
const LEDGER = 'component:default/ledger';

let catalogue: Catalogue;
let shard: Shard;

beforeEach(async () => {
  catalogue = new Catalogue();
  const provider = new ShardProvider(3);
  await provider.connect(catalogue.connection(provider.getProviderName()));
  shard = shardOf(provider);
});

function shardOf(provider: ShardProvider): Shard {
  return new Shard(provider, new EntityChecker(() => Promise.resolve('unknown kind')), catalogue);
}

function upsert(...upserts: Entity[]) {
  return shard.change(parseChanges({ shard: 3, upserts }));
}

function remove(...removals: string[]) {
  return shard.change(parseChanges({ shard: 3, removals }));
}

function full(...entities: Entity[]) {
  return shard.replace(parseFull({ entities, hash: 'abc' }));
}

test('what is sent is in the catalogue when the answer comes', async () => {
  const outcome = await upsert(component('pay'));

  assert.deepEqual(outcome, { applied: [PAY], removed: [], refused: [], conflicts: [] });
  assert.equal(catalogue.rows.get(PAY)?.locationKey, 'mainstem:shard-3');
});

test('what is refused is named, and the others are applied', async () => {
  const outcome = await upsert(component('ledger', { spec: {} }), component('pay'));

  assert.deepEqual([outcome.applied, outcome.refused.map(({ entityRef }) => entityRef)], [[PAY], [LEDGER]]);
});

test('the same again has the same answer', async () => {
  const first = await upsert(component('pay'));

  assert.deepEqual(await upsert(component('pay')), first);
});

test('an entity whose keys come in another order is the same entity', async () => {
  catalogue.has(component('pay'), 'mainstem:shard-3', 'mainstem-shard-3');
  catalogue.lost = ['pay'];
  const { spec, ...rest } = component('pay');

  assert.deepEqual((await upsert({ ...(spec && { spec }), ...rest })).applied, [PAY]);
});

test('a removal is answered also for what was never there', async () => {
  await upsert(component('pay'));
  const outcome = await remove(PAY, LEDGER);

  assert.deepEqual([outcome.removed, catalogue.rows.size], [[PAY, LEDGER], 0]);
});

for (const [whose, key] of [
  ['another provider', 'theirs'],
  ['another shard', 'mainstem:shard-4'],
  ['a provider without location keys', null],
] as const) {
  test(`what the catalogue has from ${whose} is told and left alone`, async () => {
    catalogue.has(component('pay', { metadata: { description: 'theirs' } }), key, 'theirs');
    const outcome = await upsert(component('pay'), component('ledger'));

    assert.deepEqual([outcome.applied, outcome.conflicts.map(({ entityRef }) => entityRef)], [[LEDGER], [PAY]]);
    assert.equal(catalogue.entity(PAY)?.metadata.description, 'theirs');
    assert.deepEqual(
      catalogue.mutations.flatMap(mutation => (mutation.type === 'delta' ? mutation.added.length : [])),
      [1],
    );
  });
}

test('what somebody else took meanwhile is told as theirs', async () => {
  catalogue.pause = Promise.resolve().then(() => {
    catalogue.has(component('pay'), 'theirs', 'theirs');
  });
  const outcome = await upsert(component('pay'));

  assert.deepEqual([outcome.applied, outcome.conflicts.length], [[], 1]);
});

test('a full shard removes what it does not name', async () => {
  await upsert(component('pay'), component('ledger'));
  const outcome = await full(component('pay'));

  assert.deepEqual([outcome.applied, outcome.removed, [...catalogue.rows.keys()]], [[PAY], [LEDGER], [PAY]]);
});

test('a full shard leaves what it refuses as it was', async () => {
  await upsert(component('pay'), component('ledger'));
  const outcome = await full(component('pay', { spec: {} }), component('ledger'));

  assert.deepEqual([outcome.applied, outcome.removed], [[LEDGER], []]);
  assert.deepEqual(catalogue.entity(PAY), component('pay'));
});

test('a full shard takes nothing from another', async () => {
  catalogue.has(component('pay'), 'mainstem:shard-4', 'mainstem-shard-4');
  const outcome = await full();

  assert.deepEqual([outcome.removed, catalogue.rows.size], [[], 1]);
});

test('a write that was lost without an error is not answered as applied', async () => {
  catalogue.lost = ['pay'];

  await assert.rejects(upsert(component('pay')), { name: 'ServiceUnavailableError' });
});

test('the hash is that of the last full mutation until anything else happens', async () => {
  const told = [shard.hash];
  await full(component('pay'));
  told.push(shard.hash);
  await upsert(component('ledger'));
  told.push(shard.hash);

  assert.deepEqual(told, [null, 'abc', null]);
});

test('a full mutation that failed leaves no hash', async () => {
  await full(component('pay'));
  catalogue.lost = ['ledger'];
  await full(component('ledger')).catch(() => undefined);

  assert.equal(shard.hash, null);
});

test('two mutations of one shard follow each other, and the first may fail', async () => {
  catalogue.lost = ['pay'];
  const first = upsert(component('pay')).catch(() => 'failed');
  const second = full(component('ledger'));

  assert.deepEqual([await first, (await second).applied, shard.hash], ['failed', [LEDGER], 'abc']);
});

test('before the catalogue has connected the provider nothing is tried', () => {
  shard = shardOf(new ShardProvider(3));

  assert.throws(() => upsert(component('pay')), { name: 'ServiceUnavailableError' });
  assert.equal(catalogue.mutations.length, 0);
});
