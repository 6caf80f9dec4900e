/** What `catalog.providers.mainstem` of the app-config says. */

import { RootConfigService } from '@backstage/backend-plugin-api';
import { InputError } from '@backstage/errors';

const PREFIX = 'catalog.providers.mainstem';
const DEFAULT_SHARDS = 16;
const MOST_SHARDS = 1024;
const DEFAULT_BODY_LIMIT = '16mb';
const SIZE = /^[1-9]\d*(kb|mb)$/;

export interface Settings {
  readonly shards: number;
  /** As `express.json` takes it. */
  readonly bodyLimit: string;
}

/** Return the settings, all with defaults. Throws InputError for one that cannot be used. */
export function readSettings(config: Pick<RootConfigService, 'getOptionalNumber' | 'getOptionalString'>): Settings {
  const shards = config.getOptionalNumber(`${PREFIX}.shards`) ?? DEFAULT_SHARDS;
  if (!Number.isInteger(shards) || shards < 1 || shards > MOST_SHARDS) {
    throw new InputError(`${PREFIX}.shards is not a whole number from 1 to ${String(MOST_SHARDS)}`);
  }
  const bodyLimit = config.getOptionalString(`${PREFIX}.bodyLimit`) ?? DEFAULT_BODY_LIMIT;
  // A size that Express cannot read would be no limit at all.
  if (!SIZE.test(bodyLimit)) {
    throw new InputError(`${PREFIX}.bodyLimit is not a size such as 512kb or 16mb`);
  }
  return { shards, bodyLimit };
}
