/** The names under which the catalogue remembers whose an entity is. They never change: it deletes what a lost name held. */

/** Return the name of the entity provider of *shard*. */
export function providerName(shard: number): string {
  return `mainstem-shard-${String(shard)}`;
}

/** Return the location key of every entity of *shard*. */
export function locationKey(shard: number): string {
  return `mainstem:shard-${String(shard)}`;
}
