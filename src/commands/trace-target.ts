/** What `sallyport trace` is asked about: a pod by name or uid, or a finding. */

import { KnownError } from '../errors.js'
import { escapeForeign } from '../policy/index.js'

const UID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const FINGERPRINT = /^[0-9a-f]{16}$/
const POD_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const DEFAULT_NAMESPACE = 'default'

export type TraceTarget =
  | { readonly type: 'uid'; readonly uid: string }
  | { readonly type: 'pod'; readonly namespace: string; readonly name: string }
  /** Perhaps the name of a pod: whichever is known. */
  | { readonly type: 'finding'; readonly fingerprint: string; readonly namespace: string }

/**
 * @param mayBeFinding findings were given to look in.
 * @throws KnownError USAGE
 */
export function parseTarget(text: string, namespace: string | undefined, mayBeFinding: boolean): TraceTarget {
  if (UID.test(text)) return { type: 'uid', uid: text }
  if (mayBeFinding && FINGERPRINT.test(text)) {
    return { type: 'finding', fingerprint: text, namespace: namespace ?? DEFAULT_NAMESPACE }
  }
  const slash = text.indexOf('/')
  const name = text.slice(slash + 1)
  const own = slash === -1 ? undefined : text.slice(0, slash)
  if (!POD_NAME.test(name) || (own !== undefined && !NAMESPACE.test(own))) {
    const shown = escapeForeign(text, 100)
    throw new KnownError('USAGE', `${shown} is no name of a pod, no uid and no fingerprint of a finding`)
  }
  if (own !== undefined && namespace !== undefined && own !== namespace) {
    throw new KnownError('USAGE', `${text} and -n ${namespace} name two namespaces`)
  }
  return { type: 'pod', namespace: own ?? namespace ?? DEFAULT_NAMESPACE, name }
}
