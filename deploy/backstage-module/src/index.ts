/** Entities of Mainstem in the catalogue of a Backstage. Read next: `module.ts`, then `router.ts` and `shard.ts`. */

export { catalogModuleMainstem as default } from './module';
