import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readSettings } from '../src/settings';

function given(shards?: number, bodyLimit?: string) {
  return { getOptionalNumber: () => shards, getOptionalString: () => bodyLimit };
}

test('an empty configuration has sixteen shards and bodies of 16 MB', () => {
  assert.deepEqual(readSettings(given()), { shards: 16, bodyLimit: '16mb' });
});

for (const shards of [0, -1, 1.5, 5000]) {
  test(`${String(shards)} shards are refused by the key's name`, () => {
    assert.throws(() => readSettings(given(shards)), /catalog\.providers\.mainstem\.shards/);
  });
}

for (const bodyLimit of ['plenty', '0mb', '16', '']) {
  test(`a body limit of "${bodyLimit}" is refused by the key's name, not taken for none`, () => {
    assert.throws(() => readSettings(given(16, bodyLimit)), /catalog\.providers\.mainstem\.bodyLimit/);
  });
}
