/** Decision records as an audit log has them, read back: somebody else may have written or torn the line. */

import { MODES } from '../policy/index.js'
import type { DecisionRecord, RecordedImage } from './decision-record.js'
import { DECISION_RECORD_SCHEMA } from './decision-record.js'

export type DecodedRecord =
  | { readonly ok: true; readonly record: DecisionRecord }
  /** `problem` is half a sentence. */
  | { readonly ok: false; readonly problem: string }

type Check = (value: unknown) => boolean

/** A record's own bounds keep every text below this; a longer one would be held in memory by whoever reads. */
const MAX_TEXT_LENGTH = 4096

const isText: Check = value => typeof value === 'string' && value.length <= MAX_TEXT_LENGTH
const isTextOrNull: Check = value => value === null || isText(value)
const isFlag: Check = value => typeof value === 'boolean'
const isCount: Check = value => Number.isSafeInteger(value) && Number(value) >= 0
const isTexts: Check = value => Array.isArray(value) && value.every(isText)
const oneOf =
  (...words: readonly string[]): Check =>
  value =>
    typeof value === 'string' && words.includes(value)

/** A word that a newer Sallyport may add to (a reason, a list) is any text; a word that is counted by must be known. */
const IMAGE_FIELDS: Readonly<Record<keyof RecordedImage, Check>> = {
  list: isText,
  container: isText,
  field: isText,
  written: isText,
  image: isTextOrNull,
  outcome: oneOf('allowed', 'denied', 'excepted'),
  reason: isText,
  entry: isTextOrNull,
  exception: isTextOrNull,
  changed: isFlag,
}

const RECORD_FIELDS: Readonly<Record<keyof DecisionRecord, Check>> = {
  schema: value => value === DECISION_RECORD_SCHEMA,
  id: isText,
  time: value => isText(value) && !Number.isNaN(Date.parse(String(value))),
  cluster: isTextOrNull,
  requestUid: isText,
  objectUid: isTextOrNull,
  kind: isText,
  subResource: isTextOrNull,
  namespace: isText,
  name: isTextOrNull,
  generateName: isTextOrNull,
  topOwner: value => value === null || hasFields(value, { kind: isText, name: isText, uid: isText }) === undefined,
  operation: oneOf('CREATE', 'UPDATE'),
  dryRun: isFlag,
  user: isText,
  mode: oneOf(...MODES),
  action: oneOf('deny', 'warn', 'audit', 'admit'),
  allowed: isFlag,
  policy: isText,
  revision: isText,
  images: value => Array.isArray(value) && value.every(image => hasFields(image, IMAGE_FIELDS) === undefined),
  imagesOmitted: isCount,
  unreadable: isTextOrNull,
  waived: isTextOrNull,
  exceptions: isTexts,
  warnings: isTexts,
}

/** The keys of a record and of one of its images, in their order; docs/decision-record.md lists the same. */
export const DECISION_RECORD_KEYS: readonly string[] = Object.keys(RECORD_FIELDS)
export const RECORDED_IMAGE_KEYS: readonly string[] = Object.keys(IMAGE_FIELDS)

/** Keys that this version does not know are let pass: adding one does not raise the schema. */
export function decodeDecisionRecord(value: unknown): DecodedRecord {
  const schema = typeof value === 'object' && value !== null && 'schema' in value ? value.schema : undefined
  if (typeof schema === 'number' && schema > DECISION_RECORD_SCHEMA) {
    return { ok: false, problem: `a newer Sallyport wrote it (schema ${schema})` }
  }
  const wrong = hasFields(value, RECORD_FIELDS)
  if (wrong !== undefined) return { ok: false, problem: wrong }
  return { ok: true, record: value as DecisionRecord }
}

/** @returns what is wrong, or undefined. */
function hasFields(value: unknown, fields: Readonly<Record<string, Check>>): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is no decision record'
  for (const key in fields) {
    if (!Object.hasOwn(value, key)) return `it has no "${key}"`
    if (!fields[key]?.((value as Record<string, unknown>)[key])) return `its "${key}" is of another form`
  }
  return undefined
}
