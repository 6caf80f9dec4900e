/** The three paths below `/api/catalog/mainstem`. The README is their contract. */

import { randomUUID } from 'node:crypto';
import express, { ErrorRequestHandler, Request, RequestHandler, Router } from 'express';
import { HttpAuthService, LoggerService } from '@backstage/backend-plugin-api';
import { InputError, NotFoundError } from '@backstage/errors';
import { Holdings } from './holdings';
import { parseChanges, parseFull } from './requests';
import { Shard } from './shard';
import { VERSION } from './version';

export interface Parts {
  readonly shards: readonly Shard[];
  readonly holdings: Holdings;
  readonly httpAuth: HttpAuthService;
  readonly logger: LoggerService;
  readonly bodyLimit: string;
}

const RETRY_AFTER_S = 5;

export function createRouter({ shards, holdings, httpAuth, logger, bodyLimit }: Parts): Router {
  const instance = randomUUID();
  const router = Router();

  // Before any body is read: nobody else's is worth parsing.
  router.use(
    answering(async request => {
      await httpAuth.credentials(request, { allow: ['service'] });
      return undefined;
    }),
  );
  router.use(express.json({ limit: bodyLimit }));

  router.post(
    '/changes',
    answering(async request => {
      const changes = parseChanges(request.body);
      return find(shards, changes.shard).change(changes);
    }),
  );

  router.put(
    '/shards/:shard',
    answering(async request => {
      const shard = find(shards, Number(request.params.shard));
      return shard.replace(parseFull(request.body));
    }),
  );

  router.get(
    '/status',
    answering(async () => {
      const names = shards.map(shard => shard.name);
      const counts = await holdings.counts(names).catch((error: unknown) => {
        logger.warn('the entities of the shards could not be counted', { error: String(error) });
        return undefined;
      });
      return { module_version: VERSION, instance, shards: shards.map(shard => describe(shard, counts)) };
    }),
  );

  router.use(explained(bodyLimit));
  return router;
}

function find(shards: readonly Shard[], number: number): Shard {
  const shard = shards[number];
  if (shard === undefined) {
    throw new NotFoundError(`there is no such shard: there are 0 to ${String(shards.length - 1)}`);
  }
  return shard;
}

function describe(shard: Shard, counts: Map<string, number> | undefined) {
  return {
    shard: shard.number,
    hash: shard.hash,
    entities: counts === undefined ? null : (counts.get(shard.name) ?? 0),
    applied_at: shard.appliedAt?.toISOString() ?? null,
  };
}

/** Return a handler that answers with what *handle* returns as JSON, or goes on where that is undefined. */
function answering(handle: (request: Request) => Promise<object | undefined>): RequestHandler {
  return (request, response, next) => {
    handle(request).then(answer => {
      if (answer === undefined) {
        next();
      } else {
        response.json(answer);
      }
    }, next);
  };
}

/** Turn what reading a body fails with into our words: the parser's own error carries the body along. */
function explained(bodyLimit: string): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    const { status, name } = error as { status?: number; name?: string };
    if (name === 'ServiceUnavailableError') {
      response.setHeader('Retry-After', RETRY_AFTER_S);
      next(error);
    } else if (status === 413) {
      const told = new InputError(`the body is larger than ${bodyLimit}; send it in parts, or raise bodyLimit`);
      next(Object.assign(told, { statusCode: 413 }));
    } else if (status !== undefined && status >= 400 && status < 500) {
      next(new InputError('the body cannot be read as JSON'));
    } else {
      next(error);
    }
  };
}
