/** The entity provider of one shard: it says nothing by itself, it lends its connection to whoever was sent something. */

import { EntityProvider, EntityProviderConnection, EntityProviderMutation } from '@backstage/plugin-catalog-node';
import { ServiceUnavailableError } from '@backstage/errors';
import { providerName } from './names';

export class ShardProvider implements EntityProvider {
  #connection: EntityProviderConnection | undefined;

  constructor(readonly shard: number) {}

  getProviderName(): string {
    return providerName(this.shard);
  }

  connect(connection: EntityProviderConnection): Promise<void> {
    this.#connection = connection;
    return Promise.resolve();
  }

  /** Throws ServiceUnavailableError until the catalogue has connected this provider. */
  assertConnected(): EntityProviderConnection {
    if (this.#connection === undefined) {
      throw new ServiceUnavailableError(`the catalogue has not connected ${this.getProviderName()} yet; try again`);
    }
    return this.#connection;
  }

  async applyMutation(mutation: EntityProviderMutation): Promise<void> {
    await this.assertConnected().applyMutation(mutation);
  }
}
