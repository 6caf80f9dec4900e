// What Backstage takes by itself: mutations as they are, without our module, and how long they took.

const express = require('express');
const { coreServices, createBackendModule } = require('@backstage/backend-plugin-api');
const { catalogProcessingExtensionPoint } = require('@backstage/plugin-catalog-node');

class Provider {
  getProviderName() {
    return 'bare';
  }

  async connect(connection) {
    this.connection = connection;
  }

  /** Apply *entities*, so many at once, and return for how many milliseconds that lasted. */
  async apply(entities, atOnce) {
    const began = performance.now();
    for (let start = 0; start < entities.length; start += atOnce) {
      const added = entities.slice(start, start + atOnce).map(entity => ({ entity, locationKey: 'bare' }));
      await this.connection.applyMutation({ type: 'delta', added, removed: [] });
    }
    return performance.now() - began;
  }
}

exports.bare = createBackendModule({
  pluginId: 'catalog',
  moduleId: 'bare',
  register(registration) {
    registration.registerInit({
      deps: { httpRouter: coreServices.httpRouter, processing: catalogProcessingExtensionPoint },
      async init({ httpRouter, processing }) {
        const provider = new Provider();
        processing.addEntityProvider(provider);
        const router = express.Router();
        router.post('/bare', express.json({ limit: '64mb' }), (request, response, next) => {
          provider
            .apply(request.body.entities, request.body.atOnce)
            .then(milliseconds => response.json({ milliseconds }), next);
        });
        httpRouter.use(router);
      },
    });
  },
});
