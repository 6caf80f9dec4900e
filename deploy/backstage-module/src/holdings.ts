/** What the catalogue holds, read from its own tables.
 *
 * Its API cannot say this: it shows an entity only once it is processed, and not whose it is. `applyMutation` cannot
 * either: it returns also when it left an entity to another provider, or could not write it.
 */

import { DatabaseService } from '@backstage/backend-plugin-api';

const AT_ONCE = 1000;

export interface Holding {
  readonly locationKey: string | null;
  /** The entity as its provider gave it, as JSON text. */
  readonly text: string;
}

export interface Holdings {
  /** Return, by ref, those of *entityRefs* that the catalogue holds, whoever gave them. */
  find(entityRefs: readonly string[]): Promise<Map<string, Holding>>;
  /** Return the refs that the provider of this name holds. */
  refsOf(provider: string): Promise<string[]>;
  /** Return how many entities each provider that has any holds. */
  counts(providers: readonly string[]): Promise<Map<string, number>>;
}

interface StateRow {
  entity_ref: string;
  location_key: string | null;
  unprocessed_entity: string;
}

export class CatalogTables implements Holdings {
  constructor(private readonly database: DatabaseService) {}

  async find(entityRefs: readonly string[]): Promise<Map<string, Holding>> {
    const client = await this.database.getClient();
    const found = new Map<string, Holding>();
    for (let start = 0; start < entityRefs.length; start += AT_ONCE) {
      const rows = await client<StateRow>('refresh_state')
        .select('entity_ref', 'location_key', 'unprocessed_entity')
        .whereIn('entity_ref', entityRefs.slice(start, start + AT_ONCE));
      for (const row of rows) {
        found.set(row.entity_ref, { locationKey: row.location_key, text: row.unprocessed_entity });
      }
    }
    return found;
  }

  async refsOf(provider: string): Promise<string[]> {
    const client = await this.database.getClient();
    const rows = await client<{ target_entity_ref: string; source_key: string }>('refresh_state_references')
      .select('target_entity_ref')
      .where('source_key', provider);
    return rows.map(row => row.target_entity_ref);
  }

  async counts(providers: readonly string[]): Promise<Map<string, number>> {
    const client = await this.database.getClient();
    const rows: { source_key: string; entities: string | number }[] = await client('refresh_state_references')
      .select('source_key')
      .count({ entities: '*' })
      .whereIn('source_key', providers)
      .groupBy('source_key');
    return new Map(rows.map(row => [row.source_key, Number(row.entities)]));
  }
}
