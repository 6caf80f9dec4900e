/** The bodies of requests: what is not of their form is refused as a whole, by a sentence that says where. */

import { Entity, stringifyEntityRef } from '@backstage/catalog-model';
import { InputError } from '@backstage/errors';

/** Upserts and removals that one request may carry. */
export const MOST_CHANGES = 1000;

const REF = /^[^:/\s]+:[^:/\s]+\/[^:/\s]+$/;

export interface Named {
  readonly entityRef: string;
  readonly entity: Entity;
}

export interface Changes {
  readonly shard: number;
  readonly upserts: readonly Named[];
  /** Lower-cased entity refs. */
  readonly removals: readonly string[];
}

export interface Full {
  readonly entities: readonly Named[];
  /** What the sender calls this content; it is told again by the status. */
  readonly hash: string;
}

/** Throws InputError unless *body* is `{"shard", "upserts", "removals"}`; of the lists one may be absent. */
export function parseChanges(body: unknown): Changes {
  const { shard, upserts, removals } = fields(body, ['shard', 'upserts', 'removals']);
  if (typeof shard !== 'number' || !Number.isInteger(shard)) {
    throw new InputError('shard is not a whole number');
  }
  const changes = { shard, upserts: parseEntities(upserts ?? [], 'upserts'), removals: parseRefs(removals ?? []) };
  if (changes.upserts.length + changes.removals.length > MOST_CHANGES) {
    throw new InputError(`upserts and removals are more than ${String(MOST_CHANGES)} together; send them in parts`);
  }
  assertEachOnce([...changes.upserts.map(named => named.entityRef), ...changes.removals]);
  return changes;
}

/** Throws InputError unless *body* is `{"entities", "hash"}`. */
export function parseFull(body: unknown): Full {
  const { entities, hash } = fields(body, ['entities', 'hash']);
  if (typeof hash !== 'string') {
    throw new InputError('hash is not a text');
  }
  const full = { entities: parseEntities(entities, 'entities'), hash };
  assertEachOnce(full.entities.map(named => named.entityRef));
  return full;
}

function fields(body: unknown, known: readonly string[]): Record<string, unknown> {
  if (!isObject(body)) {
    throw new InputError('the body is not a JSON object; is its Content-Type application/json?');
  }
  // A misspelt field would pass for an absent one, and a removal for nothing to remove.
  if (Object.keys(body).some(key => !known.includes(key))) {
    throw new InputError(`the body has a field that is none of ${known.join(', ')}`);
  }
  return body;
}

function parseEntities(list: unknown, field: string): Named[] {
  if (!Array.isArray(list)) {
    throw new InputError(`${field} is not a list`);
  }
  return list.map((item: unknown, index) => {
    if (!isNameable(item)) {
      throw new InputError(`${field}[${String(index)}] is not an object with kind and metadata.name as texts`);
    }
    return { entity: item, entityRef: stringifyEntityRef(item) };
  });
}

/** Whether an answer can name *item*: the rest is for Backstage's own rules to say. */
function isNameable(item: unknown): item is Entity {
  if (!isObject(item) || !isObject(item.metadata)) {
    return false;
  }
  const { name, namespace } = item.metadata;
  return isText(item.kind) && isText(name) && (namespace === undefined || isText(namespace));
}

function parseRefs(list: unknown): string[] {
  if (!Array.isArray(list)) {
    throw new InputError('removals is not a list');
  }
  return list.map((ref: unknown, index) => {
    if (typeof ref !== 'string' || !REF.test(ref)) {
      throw new InputError(`removals[${String(index)}] is not an entity ref of the form kind:namespace/name`);
    }
    return ref.toLocaleLowerCase('en-US');
  });
}

function assertEachOnce(refs: readonly string[]): void {
  if (new Set(refs).size !== refs.length) {
    throw new InputError('an entity is named twice; which of the two counts is not for the catalogue to say');
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
