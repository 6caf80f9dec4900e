/** A catalogue in memory, at the seam to Backstage: it leaves alone what it has from somebody else, as Backstage does. */

import { Entity, stringifyEntityRef } from '@backstage/catalog-model';
import { EntityProviderConnection, EntityProviderMutation } from '@backstage/plugin-catalog-node';
import { Holding, Holdings } from '../src/holdings';

interface Row extends Holding {
  readonly provider: string;
}

export class Catalogue implements Holdings {
  readonly rows = new Map<string, Row>();
  readonly mutations: EntityProviderMutation[] = [];
  /** Names whose write is lost without an error, as after a fault within the catalogue's transaction. */
  lost: readonly string[] = [];
  countable = true;
  pause: Promise<void> = Promise.resolve();

  has(entity: Entity, locationKey: string | null, provider: string): void {
    this.rows.set(stringifyEntityRef(entity), { locationKey, provider, text: JSON.stringify(entity) });
  }

  entity(ref: string): Entity | undefined {
    const row = this.rows.get(ref);
    return row && (JSON.parse(row.text) as Entity);
  }

  connection(provider: string): EntityProviderConnection {
    return {
      applyMutation: async mutation => {
        await this.pause;
        this.mutations.push(mutation);
        this.#apply(provider, mutation);
      },
      refresh: () => Promise.resolve(),
    };
  }

  find(entityRefs: readonly string[]): Promise<Map<string, Holding>> {
    const found = entityRefs.flatMap(ref => {
      const row = this.rows.get(ref);
      return row ? [[ref, row] as const] : [];
    });
    return Promise.resolve(new Map(found));
  }

  refsOf(provider: string): Promise<string[]> {
    return Promise.resolve([...this.rows].filter(([, row]) => row.provider === provider).map(([ref]) => ref));
  }

  async counts(providers: readonly string[]): Promise<Map<string, number>> {
    if (!this.countable) {
      throw new Error('the tables are not there');
    }
    const pairs = await Promise.all(providers.map(async name => [name, (await this.refsOf(name)).length] as const));
    return new Map(pairs);
  }

  #apply(provider: string, mutation: EntityProviderMutation): void {
    const added = mutation.type === 'full' ? mutation.entities : mutation.added;
    const staying = new Set(added.map(({ entity }) => stringifyEntityRef(entity)));
    const gone =
      mutation.type === 'full'
        ? [...this.rows.keys()].filter(ref => !staying.has(ref))
        : mutation.removed.map(item => ('entityRef' in item ? item.entityRef : stringifyEntityRef(item.entity)));
    for (const ref of gone.filter(ref => this.rows.get(ref)?.provider === provider)) {
      this.rows.delete(ref);
    }
    for (const { entity, locationKey } of added) {
      const old = this.rows.get(stringifyEntityRef(entity));
      if ((old === undefined || old.provider === provider) && !this.lost.includes(entity.metadata.name)) {
        this.has(entity, locationKey ?? null, provider);
      }
    }
  }
}
