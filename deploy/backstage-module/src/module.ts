/** What `backend.add` adds: an entity provider for each shard, and the paths that feed them. */

import { Router } from 'express';
import { AuthService, coreServices, createBackendModule } from '@backstage/backend-plugin-api';
import { ServiceUnavailableError } from '@backstage/errors';
import { CatalogService, catalogProcessingExtensionPoint, catalogServiceRef } from '@backstage/plugin-catalog-node';
import { CatalogTables } from './holdings';
import { ShardProvider } from './provider';
import { createRouter } from './router';
import { readSettings } from './settings';
import { Shard } from './shard';
import { AskCatalog, EntityChecker } from './validation';

export const catalogModuleMainstem = createBackendModule({
  pluginId: 'catalog',
  moduleId: 'mainstem',
  register(registration) {
    registration.registerInit({
      deps: {
        auth: coreServices.auth,
        catalog: catalogServiceRef,
        config: coreServices.rootConfig,
        database: coreServices.database,
        httpAuth: coreServices.httpAuth,
        httpRouter: coreServices.httpRouter,
        logger: coreServices.logger,
        processing: catalogProcessingExtensionPoint,
      },
      init({ auth, catalog, config, database, httpAuth, httpRouter, logger, processing }) {
        const settings = readSettings(config);
        const providers = Array.from({ length: settings.shards }, (_, shard) => new ShardProvider(shard));
        processing.addEntityProvider(providers);

        const holdings = new CatalogTables(database);
        const checker = new EntityChecker(asking(catalog, auth));
        const shards = providers.map(provider => new Shard(provider, checker, holdings));
        const routes = createRouter({ shards, holdings, httpAuth, logger, bodyLimit: settings.bodyLimit });
        httpRouter.use(Router().use('/mainstem', routes));
        return Promise.resolve();
      },
    });
  },
});

/** Kinds of other modules are known to the running catalogue alone. */
function asking(catalog: CatalogService, auth: AuthService): AskCatalog {
  return async entity => {
    try {
      const credentials = await auth.getOwnServiceCredentials();
      // The entity's own location annotations take precedence over this one.
      const answer = await catalog.validateEntity(entity, 'url:http://localhost/', { credentials });
      return answer.valid ? undefined : (answer.errors[0]?.message ?? 'the catalogue does not say why');
    } catch (error) {
      throw new ServiceUnavailableError('the catalogue cannot be asked about a kind; try again', error);
    }
  };
}
