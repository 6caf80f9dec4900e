import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Server } from 'node:http';
import { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import express, { ErrorRequestHandler } from 'express';
import { HttpAuthService, LoggerService } from '@backstage/backend-plugin-api';
import { AuthenticationError, NotAllowedError } from '@backstage/errors';
import { ShardProvider } from '../src/provider';
import { createRouter } from '../src/router';
import { Shard } from '../src/shard';
import { EntityChecker } from '../src/validation';
import { Catalogue } from './catalogue';
import { component } from './entities';

/** As Backstage's own middleware has it. */
const STATUS: Record<string, number> = {
  InputError: 400,
  AuthenticationError: 401,
  NotAllowedError: 403,
  NotFoundError: 404,
  ServiceUnavailableError: 503,
};

const answerErrors: ErrorRequestHandler = (error: Error & { statusCode?: number }, _request, response, next) => {
  if (response.headersSent) {
    next(error);
    return;
  }
  response.status(error.statusCode ?? STATUS[error.name] ?? 500).json({ error: error.message });
};

/** Who asks is said by the token, as Backstage's own service would find out. */
const httpAuth = {
  credentials: (request: express.Request, options: { allow: string[] }) => {
    const who = request.headers.authorization?.replace('Bearer ', '');
    if (who === undefined) {
      return Promise.reject(new AuthenticationError('Missing credentials'));
    }
    return options.allow.includes(who) ? Promise.resolve({}) : Promise.reject(new NotAllowedError('not for you'));
  },
} as unknown as HttpAuthService;

let catalogue: Catalogue;
let server: Server;
let url: string;

function app() {
  const checker = new EntityChecker(() => Promise.resolve('unknown kind'));
  const providers = [0, 1, 2].map(shard => new ShardProvider(shard));
  // The last one stays without a connection.
  for (const provider of providers.slice(0, 2)) {
    void provider.connect(catalogue.connection(provider.getProviderName()));
  }
  const shards = providers.map(provider => new Shard(provider, checker, catalogue));
  const logger = { warn: () => undefined } as unknown as LoggerService;
  return express()
    .use(createRouter({ shards, holdings: catalogue, httpAuth, logger, bodyLimit: '100kb' }))
    .use(answerErrors);
}

let handler: express.Express;

before(async () => {
  server = express()
    .use((request, response, next) => {
      handler(request, response, next);
    })
    .listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
});

after(() => server.close());

beforeEach(() => {
  catalogue = new Catalogue();
  handler = app();
});

async function ask(method: string, path: string, body?: unknown, who: string | undefined = 'service') {
  const headers: Record<string, string> = { 'Content-Type': 'application/json' };
  if (who !== '') {
    headers.Authorization = `Bearer ${who}`;
  }
  const init: RequestInit = { method, headers };
  if (body !== undefined) {
    init.body = typeof body === 'string' ? body : JSON.stringify(body);
  }
  const answer = await fetch(url + path, init);
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

interface Status {
  readonly instance: string;
  readonly shards: readonly { hash: string | null; entities: number | null; applied_at: string | null }[];
}

async function status(): Promise<Status> {
  return JSON.parse((await ask('GET', '/status')).text) as Status;
}

test('changes are answered with what came of each', async () => {
  const answer = await ask('POST', '/changes', { shard: 1, upserts: [component('pay')], removals: ['api:default/x'] });

  assert.deepEqual(
    [answer.status, JSON.parse(answer.text)],
    [200, { applied: ['component:default/pay'], removed: ['api:default/x'], refused: [], conflicts: [] }],
  );
});

test('the status tells hash, number and time of each shard', async () => {
  await ask('PUT', '/shards/1', { entities: [component('pay')], hash: 'abc' });
  const { instance, shards } = await status();

  assert.match(instance, /^[0-9a-f-]{36}$/);
  assert.deepEqual([shards.length, shards[1]?.hash, shards[1]?.entities], [3, 'abc', 1]);
  assert.deepEqual(shards[0], { shard: 0, hash: null, entities: 0, applied_at: null });
});

test('entities that cannot be counted are null, and the rest is told', async () => {
  catalogue.countable = false;

  assert.deepEqual(
    (await status()).shards.map(shard => shard.entities),
    [null, null, null],
  );
});

for (const [who, expected] of [
  ['', 401],
  ['user', 403],
] as const) {
  test(`"${who}" is answered ${String(expected)}, whatever the body`, async () => {
    const asked = [
      await ask('POST', '/changes', '{', who),
      await ask('PUT', '/shards/1', '{', who),
      await ask('GET', '/status', undefined, who),
    ];

    assert.deepEqual(
      asked.map(answer => answer.status),
      [expected, expected, expected],
    );
  });
}

for (const path of ['/shards/3', '/shards/-1', '/shards/one', '/shards/1.5']) {
  test(`PUT ${path} finds no shard`, async () => {
    assert.equal((await ask('PUT', path, { entities: [], hash: 'a' })).status, 404);
  });
}

test('a body over the limit is answered 413', async () => {
  const answer = await ask('POST', '/changes', { shard: 1, upserts: [component('pay'), 'x'.repeat(200_000)] });

  assert.deepEqual([answer.status, answer.text.includes('100kb')], [413, true]);
});

test('a body that is no JSON is answered 400, and not repeated', async () => {
  const answer = await ask('POST', '/changes', '{"canary": secret}');

  assert.deepEqual([answer.status, /canary|secret/.test(answer.text)], [400, false]);
});

test('a shard without a connection is answered 503, with a time to come back', async () => {
  const answer = await ask('POST', '/changes', { shard: 2 });

  assert.deepEqual([answer.status, answer.headers.get('Retry-After')], [503, '5']);
});
