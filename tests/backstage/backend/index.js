// A Backstage of its catalogue alone, with our module in it, and with somebody else's beside it.

const { createBackend } = require('@backstage/backend-defaults');
const { bare } = require('./bare');
const { theirs } = require('./theirs');

const backend = createBackend();
backend.add(import('@backstage/plugin-catalog-backend'));
backend.add(import('@backstage/plugin-catalog-backend-module-logs'));
backend.add(import('backstage-plugin-catalog-backend-module-mainstem'));
backend.add(theirs);
if (process.env.MEASURED) {
  backend.add(bare);
}
backend.start();
