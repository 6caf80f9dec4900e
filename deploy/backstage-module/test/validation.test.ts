import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entity } from '@backstage/catalog-model';
import { EntityChecker } from '../src/validation';
import { component, Overrides } from './entities';

const spec = { type: 'service', lifecycle: 'production', owner: 'team-pay' };
const api = { kind: 'API', spec: { ...spec, definition: 'openapi: 3.1.0' } };

function refusal(entity: Entity, ask = () => Promise.resolve<string | undefined>('asked')) {
  return new EntityChecker(ask).refusal(entity);
}

const taken: Record<string, Overrides> = {
  'a component': {},
  'an API': api,
  'a field of their own in spec': { spec: { ...spec, acme: { tier: 1 } } },
  'an empty label value': { metadata: { labels: { 'acme.com/tier': '' } } },
  'a name with two dashes': { metadata: { name: 'a--b' } },
  'a namespace that is absent': { metadata: { namespace: undefined } },
  'a definition to be read': { ...api, spec: { ...api.spec, definition: { $text: 'https://acme.com/api.yaml' } } },
  'a definition of another resolver': { ...api, spec: { ...api.spec, definition: { $openapi: './api.yaml' } } },
  'data to be read where anything may be': { spec: { ...spec, acme: { $json: './acme.json' } } },
};

for (const [what, overrides] of Object.entries(taken)) {
  test(`${what} is taken`, async () => {
    assert.equal(await refusal(component('pay', overrides)), undefined);
  });
}

const refused: Record<string, Overrides> = {
  'an empty apiVersion': { apiVersion: '' },
  'a name with a space': { metadata: { name: 'a b' } },
  'a name of 64 characters': { metadata: { name: 'a'.repeat(64) } },
  'a namespace in upper case': { metadata: { namespace: 'Pay' } },
  'a spec without an owner': { spec: { type: 'service', lifecycle: 'production' } },
  'an owner that is a number': { spec: { ...spec, owner: 7 } },
  'a spec of null': { spec: null },
  'labels of null': { metadata: { labels: null } },
  'a tag in upper case': { metadata: { tags: ['Pay'] } },
  'a link without a URL': { metadata: { links: [{ title: 'runbook' }] } },
  'a foreign field at the root': { service: { tier: 'tier1' } },
  'a definition read as data': { ...api, spec: { ...api.spec, definition: { $json: './api.json' } } },
  'no location': { metadata: { annotations: {} } },
  'a location without a type': { metadata: { annotations: { 'backstage.io/managed-by-location': 'here' } } },
};

for (const [what, overrides] of Object.entries(refused)) {
  test(`${what} is refused with a reason`, async () => {
    const told = await refusal(component('pay', overrides));

    assert.ok(told && told !== 'asked', told);
  });
}

test('a reason says what is wrong, and not with which value', async () => {
  const told = await refusal(component('pay', { metadata: { tags: ['Canary".Secret'] } }));

  assert.equal(
    told,
    '"tags.0" is not valid; expected a string that is sequences of [a-z0-9+#] separated by [-], at most 63 characters in total.',
  );
});

test('a kind that the model does not know is for the catalogue to judge', async () => {
  const robot = component('r2', { kind: 'Robot' });

  assert.deepEqual(
    [await refusal(robot), await refusal(robot, () => Promise.resolve(undefined))],
    ['asked', undefined],
  );
});

test('an entity of another apiVersion is for the catalogue to judge', async () => {
  assert.equal(await refusal(component('pay', { apiVersion: 'acme.com/v1' })), 'asked');
});

test('a catalogue that cannot be asked refuses nothing: the request fails', async () => {
  const away = () => Promise.reject(new Error('away'));

  await assert.rejects(refusal(component('r2', { kind: 'Robot' }), away), /away/);
});
