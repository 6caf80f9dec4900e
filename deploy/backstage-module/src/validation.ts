/** Whether Backstage would take an entity, by its own rules, before it is asked to. */

import {
  ANNOTATION_LOCATION,
  ANNOTATION_ORIGIN_LOCATION,
  apiEntityV1alpha1Validator,
  componentEntityV1alpha1Validator,
  DefaultNamespaceEntityPolicy,
  domainEntityV1alpha1Validator,
  Entity,
  EntityPolicies,
  entityEnvelopeSchemaValidator,
  FieldFormatEntityPolicy,
  groupEntityV1alpha1Validator,
  locationEntityV1alpha1Validator,
  NoForeignRootFieldsEntityPolicy,
  parseLocationRef,
  resourceEntityV1alpha1Validator,
  SchemaValidEntityPolicy,
  systemEntityV1alpha1Validator,
  userEntityV1alpha1Validator,
} from '@backstage/catalog-model';

/** Asked about entities of kinds that Backstage's model does not know: why not, or undefined when it takes them. */
export type AskCatalog = (entity: Entity) => Promise<string | undefined>;

const KINDS = [
  apiEntityV1alpha1Validator,
  componentEntityV1alpha1Validator,
  resourceEntityV1alpha1Validator,
  groupEntityV1alpha1Validator,
  locationEntityV1alpha1Validator,
  userEntityV1alpha1Validator,
  systemEntityV1alpha1Validator,
  domainEntityV1alpha1Validator,
];

const LONGEST_REASON = 500;

/** The rules that the catalogue applies while it processes an entity, in the same order. */
export class EntityChecker {
  readonly #envelope = entityEnvelopeSchemaValidator();
  readonly #policy = EntityPolicies.allOf([
    new SchemaValidEntityPolicy(),
    new DefaultNamespaceEntityPolicy(),
    new NoForeignRootFieldsEntityPolicy(),
    new FieldFormatEntityPolicy(),
  ]);

  constructor(private readonly ask: AskCatalog) {}

  /** Return why Backstage would not take *entity*, undefined when it would. Fails only where the catalogue cannot be asked. */
  async refusal(entity: Entity): Promise<string | undefined> {
    let known: boolean;
    try {
      this.#envelope(entity);
      assertLocations(entity);
      const resolved = withPlaceholdersResolved(entity) as Entity;
      await this.#policy.enforce(resolved);
      known = await isOfKnownKind(resolved);
    } catch (error) {
      return reason(error instanceof Error ? error.message : String(error));
    }
    if (known) {
      return undefined;
    }
    const told = await this.ask(entity);
    return told === undefined ? undefined : reason(told);
  }
}

async function isOfKnownKind(entity: Entity): Promise<boolean> {
  for (const kind of KINDS) {
    if (await kind.check(entity)) {
      return true;
    }
  }
  return false;
}

/** Without both, the catalogue keeps an entity and never shows it. */
function assertLocations(entity: Entity): void {
  for (const annotation of [ANNOTATION_LOCATION, ANNOTATION_ORIGIN_LOCATION]) {
    const location = entity.metadata.annotations?.[annotation];
    if (typeof location !== 'string') {
      throw new TypeError(`the annotation ${annotation} is missing`);
    }
    try {
      parseLocationRef(location);
    } catch {
      throw new TypeError(`the annotation ${annotation} is not of the form type:target`);
    }
  }
}

/** Return *value* as it may look once the catalogue has put text or data in the place of `{"$text": …}` and its like. */
function withPlaceholdersResolved(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) {
    return value;
  }
  if (Array.isArray(value)) {
    return value.map(withPlaceholdersResolved);
  }
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first?.[0].startsWith('$')) {
    return ['$json', '$yaml'].includes(first[0]) ? {} : 'resolved by the catalogue';
  }
  return Object.fromEntries(entries.map(([key, item]) => [key, withPlaceholdersResolved(item)]));
}

/** Return *message* without the value that it quotes: reasons end up in logs and headers, what they are about may not. */
function reason(message: string): string {
  const told = message.replace(/ but found ".*?"\. To learn more .*$/s, '.').replace(/ To learn more about .*$/s, '');
  return told.slice(0, LONGEST_REASON);
}
