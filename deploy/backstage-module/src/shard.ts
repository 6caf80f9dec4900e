/** One shard: checks what it is sent, applies it, and tells what came of each entity. */

import { isDeepStrictEqual } from 'node:util';
import { Entity } from '@backstage/catalog-model';
import { ServiceUnavailableError } from '@backstage/errors';
import { Holding, Holdings } from './holdings';
import { locationKey } from './names';
import { ShardProvider } from './provider';
import { Changes, Full, Named } from './requests';
import { EntityChecker } from './validation';

export interface Left {
  readonly entityRef: string;
  readonly reason: string;
}

export interface Outcome {
  /** The catalogue holds these as they were sent. */
  readonly applied: readonly string[];
  /** The catalogue does not hold these of ours. */
  readonly removed: readonly string[];
  /** Backstage would not take these; what it held of them before, it still holds. */
  readonly refused: readonly Left[];
  /** The catalogue has these from somebody else, and they were left alone. */
  readonly conflicts: readonly Left[];
}

/** One mutation at a time: two of one shard at once would make a hash of what neither sent. */
export class Shard {
  #last: Promise<unknown> = Promise.resolve();
  #hash: string | null = null;
  #appliedAt: Date | null = null;
  readonly #key: string;

  constructor(
    private readonly provider: ShardProvider,
    private readonly checker: EntityChecker,
    private readonly holdings: Holdings,
  ) {
    this.#key = locationKey(provider.shard);
  }

  get number(): number {
    return this.provider.shard;
  }

  get name(): string {
    return this.provider.getProviderName();
  }

  /** That of the last full mutation of this process, null once anything else was applied or tried. */
  get hash(): string | null {
    return this.#hash;
  }

  get appliedAt(): Date | null {
    return this.#appliedAt;
  }

  /** Return once the catalogue holds *changes*. Throws ServiceUnavailableError where it turns out that it does not. */
  change(changes: Changes): Promise<Outcome> {
    return this.#oneAtATime(null, async () => {
      const { accepted, refused, conflicts } = await this.#sort(changes.upserts);
      await this.provider.applyMutation({
        type: 'delta',
        added: this.#deferred(accepted),
        removed: changes.removals.map(entityRef => ({ entityRef, locationKey: this.#key })),
      });
      const after = await this.#settled(accepted, changes.removals);
      return { ...after, removed: changes.removals, refused, conflicts: [...conflicts, ...after.conflicts] };
    });
  }

  /** Return once the catalogue holds of this shard what *full* says and nothing else, but for what was refused. */
  replace(full: Full): Promise<Outcome> {
    return this.#oneAtATime(full.hash, async () => {
      const before = await this.holdings.refsOf(this.name);
      const { accepted, refused, conflicts, known } = await this.#sort(full.entities);
      // Left out, what was refused would be deleted: it stays as it was.
      const kept = refused.flatMap(({ entityRef }) => this.#keptAsItWas(entityRef, known.get(entityRef)));
      const all = [...accepted, ...kept];
      await this.provider.applyMutation({ type: 'full', entities: this.#deferred(all) });
      const staying = new Set(all.map(({ entityRef }) => entityRef));
      const removed = before.filter(entityRef => !staying.has(entityRef));
      const after = await this.#settled(accepted, removed);
      return { ...after, removed, refused, conflicts: [...conflicts, ...after.conflicts] };
    });
  }

  #oneAtATime(hash: string | null, work: () => Promise<Outcome>): Promise<Outcome> {
    this.provider.assertConnected();
    const turn = this.#last.then(async () => {
      // First of all: what fails half-way leaves nothing that a hash stands for.
      this.#hash = null;
      const outcome = await work();
      this.#hash = hash;
      this.#appliedAt = new Date();
      return outcome;
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #sort(entities: readonly Named[]) {
    const known = await this.holdings.find(entities.map(({ entityRef }) => entityRef));
    const accepted: Named[] = [];
    const refused: Left[] = [];
    const conflicts: Left[] = [];
    for (const named of entities) {
      const { entityRef } = named;
      const holding = known.get(entityRef);
      const refusal = await this.checker.refusal(named.entity);
      if (refusal !== undefined) {
        refused.push({ entityRef, reason: refusal });
      } else if (holding !== undefined && holding.locationKey !== this.#key) {
        // Not left to the catalogue: what came without a location key, it would hand over to us.
        conflicts.push({ entityRef, reason: conflict(holding) });
      } else {
        accepted.push(named);
      }
    }
    return { accepted, refused, conflicts, known };
  }

  #keptAsItWas(entityRef: string, holding: Holding | undefined): Named[] {
    if (holding === undefined || holding.locationKey !== this.#key) {
      return [];
    }
    return [{ entityRef, entity: JSON.parse(holding.text) as Entity }];
  }

  #deferred(entities: readonly Named[]) {
    return entities.map(({ entity }) => ({ entity, locationKey: this.#key }));
  }

  /** Read back what was written: the catalogue logs an entity that it could not write, and returns all the same. */
  async #settled(sent: readonly Named[], removed: readonly string[]) {
    const held = await this.holdings.find([...sent.map(({ entityRef }) => entityRef), ...removed]);
    const conflicts: Left[] = [];
    const applied: string[] = [];
    for (const { entityRef, entity } of sent) {
      const holding = held.get(entityRef);
      if (holding !== undefined && holding.locationKey !== this.#key) {
        conflicts.push({ entityRef, reason: conflict(holding) });
      } else if (holding !== undefined && isSame(holding.text, JSON.stringify(entity))) {
        applied.push(entityRef);
      } else {
        throw new ServiceUnavailableError(`the catalogue did not keep ${entityRef}; its log says why; try again`);
      }
    }
    const stays = removed.find(entityRef => held.get(entityRef)?.locationKey === this.#key);
    if (stays !== undefined) {
      throw new ServiceUnavailableError(`the catalogue did not remove ${stays}; its log says why; try again`);
    }
    return { applied, conflicts };
  }
}

function isSame(held: string, sent: string): boolean {
  // The order of keys may differ: the catalogue does not write anew what has the same content.
  return held === sent || isDeepStrictEqual(JSON.parse(held), JSON.parse(sent));
}

function conflict(holding: Holding): string {
  return holding.locationKey === null
    ? 'the catalogue has it from a provider that gives no location key'
    : `the catalogue has it from ${holding.locationKey}`;
}
