/** What of an AdmissionReview's bytes is read at all: the fields that the decoder, the policy and the record look at. */

import { eachOf, fieldsOf, JsonPartReader, KEPT, PASSING } from './json-part.js'

const CONTAINERS = eachOf(fieldsOf({ name: PASSING, image: KEPT }))
const POD_SPEC = {
  containers: CONTAINERS,
  initContainers: CONTAINERS,
  ephemeralContainers: CONTAINERS,
  volumes: eachOf(fieldsOf({ name: PASSING, image: fieldsOf({ reference: KEPT }) })),
}
const TEMPLATE = fieldsOf({ spec: fieldsOf(POD_SPEC) })
/** Every place of a pod spec, whatever the kind: the kind may stand behind the object. */
const OBJECT = {
  spec: fieldsOf({
    ...POD_SPEC,
    template: TEMPLATE,
    jobTemplate: fieldsOf({ spec: fieldsOf({ template: TEMPLATE }) }),
  }),
  template: TEMPLATE,
  ephemeralContainers: CONTAINERS,
}
/** Nobody reads them. Each has a time of its own, beside a long list of fields that has come before. */
const MANAGED_FIELDS = eachOf(fieldsOf({}))
const OWNER = fieldsOf({ apiVersion: PASSING, kind: PASSING, name: PASSING, uid: PASSING, controller: PASSING })
const METADATA = fieldsOf({
  uid: PASSING,
  name: PASSING,
  generateName: PASSING,
  ownerReferences: eachOf(OWNER),
  annotations: fieldsOf({ 'kubernetes.io/config.mirror': PASSING }),
  managedFields: MANAGED_FIELDS,
})
const REVIEW = fieldsOf({
  apiVersion: PASSING,
  kind: PASSING,
  request: fieldsOf({
    uid: PASSING,
    kind: fieldsOf({ kind: KEPT }),
    subResource: PASSING,
    name: PASSING,
    namespace: KEPT,
    operation: PASSING,
    dryRun: PASSING,
    userInfo: fieldsOf({ username: PASSING, groups: eachOf(PASSING) }),
    object: fieldsOf({ metadata: METADATA, ...OBJECT }),
    oldObject: fieldsOf({ metadata: fieldsOf({ managedFields: MANAGED_FIELDS }), ...OBJECT }),
  }),
})

export interface ReviewBody {
  readonly body: unknown
  /** True when no text in it has anything to escape: printable ASCII without quotes and backslashes. False says nothing. */
  readonly isPlain: boolean
}

export type ParsedReview = ({ readonly ok: true } & ReviewBody) | { readonly ok: false }

export type ReviewParser = (body: Buffer) => ParsedReview

/**
 * A parser of bodies, as far as anything reads them: to every reader of a review the same as what `JSON.parse` gives, and
 * refused when that refuses. Most of a review is bookkeeping (managed fields, status) that would be made objects of.
 */
export function createReviewParser(): ReviewParser {
  const reader = new JsonPartReader(REVIEW)
  return body => {
    const part = reader.read(body)
    return part === undefined ? parseWhole(body) : { ok: true, body: part, isPlain: reader.isPlain }
  }
}

function parseWhole(body: Buffer): ParsedReview {
  try {
    return { ok: true, body: JSON.parse(body.toString()), isPlain: false }
  } catch {
    return { ok: false }
  }
}
