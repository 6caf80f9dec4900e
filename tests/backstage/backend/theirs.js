// Somebody else's module: an entity with a location key, one without, and a kind that Backstage's model does not know.

const { createBackendModule } = require('@backstage/backend-plugin-api');
const { catalogProcessingExtensionPoint } = require('@backstage/plugin-catalog-node');

function component(name) {
  const annotations = {
    'backstage.io/managed-by-location': 'theirs:inventory',
    'backstage.io/managed-by-origin-location': 'theirs:inventory',
  };
  return {
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'Component',
    metadata: { name, namespace: 'default', description: 'theirs', annotations },
    spec: { type: 'service', lifecycle: 'production', owner: 'team-theirs' },
  };
}

const provider = {
  getProviderName: () => 'theirs',
  async connect(connection) {
    await connection.applyMutation({
      type: 'full',
      entities: [
        { entity: component('theirs'), locationKey: 'theirs:inventory' },
        { entity: component('keyless') },
        { entity: component('leaving'), locationKey: 'theirs:inventory' },
      ],
    });
  },
};

const robots = {
  getProcessorName: () => 'robots',
  async validateEntityKind(entity) {
    if (entity.kind === 'Robot' && !entity.spec?.model) {
      throw new Error('a robot has a model');
    }
    return entity.kind === 'Robot';
  },
};

exports.theirs = createBackendModule({
  pluginId: 'catalog',
  moduleId: 'theirs',
  register(registration) {
    registration.registerInit({
      deps: { processing: catalogProcessingExtensionPoint },
      async init({ processing }) {
        processing.addEntityProvider(provider);
        processing.addProcessor(robots);
      },
    });
  },
});
