import { Entity } from '@backstage/catalog-model';

export interface Overrides {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly metadata?: Record<string, unknown>;
  readonly spec?: unknown;
  readonly [root: string]: unknown;
}

/** A component that Backstage takes, with *overrides* in place of what it has. */
export function component(name: string, overrides: Overrides = {}): Entity {
  const { metadata, ...root } = overrides;
  const annotations = {
    'backstage.io/managed-by-location': 'mainstem:3',
    'backstage.io/managed-by-origin-location': 'mainstem:3',
  };
  return {
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'Component',
    spec: { type: 'service', lifecycle: 'production', owner: 'team-pay' },
    ...root,
    metadata: { name, namespace: 'default', annotations, ...metadata },
  } as Entity;
}
