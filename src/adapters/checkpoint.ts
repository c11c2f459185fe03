/**
 * Where a followed file was read to, in a form that outlives renaming, compressing, copying and a reused inode: what
 * the file holds at its beginning says which one it is, its inode only helps to choose.
 *
 * This is the JSON behind a `SourcePosition`. It is kept by whoever keeps the findings, in the same transaction, and
 * not in a file of its own: two files cannot be written at once.
 */

import { createHash } from 'node:crypto'
import type { SourcePosition } from '../correlator/event-source.js'

/** Raised when an older version could misread what is written. */
const VERSION = 1

/** So many bytes at the beginning tell files apart: more than one whole line of an agent, with its time. */
export const HEAD_BYTES = 4096

/** The beginning of a file: how many bytes, and their SHA-256. */
export interface Head {
  readonly bytes: number
  readonly sha256: string
}

/** A place in one file. Its head lies within the complete lines before `offset`, so that it never changes again. */
export interface FileMark {
  /** `device:inode`. */
  readonly identity: string
  /** Behind the last complete line that was read; in the plain bytes of a compressed file. */
  readonly offset: number
  readonly head: Head
}

export interface Checkpoint {
  /** The file that is being read; undefined: nothing was read of it yet. */
  readonly file: FileMark | undefined
  /** Rotated files that need not be read (again), as `doneOf` names them, the oldest first. */
  readonly done: readonly string[]
  /** When it was written, in milliseconds since the epoch. */
  readonly at: number
}

export type ParsedCheckpoint =
  | { readonly ok: true; readonly checkpoint: Checkpoint }
  /** Half a sentence. */
  | { readonly ok: false; readonly problem: string }

export function headOf(bytes: Buffer): Head {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
}

/** Do these first bytes of a file (as many as there are, up to `HEAD_BYTES`) begin as the head says? */
export function beginsWith(bytes: Buffer, { bytes: length, sha256 }: Head): boolean {
  return bytes.length >= length && headOf(bytes.subarray(0, length)).sha256 === sha256
}

export function positionOf({ file, done, at }: Checkpoint): SourcePosition {
  return { type: 'file', version: VERSION, file: file ?? null, done, at }
}

/** Never throws: what was kept may be damaged, of another source, or of a later version. */
export function parseCheckpoint(position: SourcePosition): ParsedCheckpoint {
  const { type, version, file, done, at } = position
  if (type !== 'file') return wrong('it is no position in a file')
  if (version !== VERSION) return wrong(`it is of version ${String(version).slice(0, 20)}, and this is ${VERSION}`)
  const mark = file === null ? undefined : parseMark(file)
  if (mark === 'damaged' || !isTexts(done) || !isCount(at)) return wrong('it is damaged')
  return { ok: true, checkpoint: { file: mark, done, at } }
}

function parseMark(value: unknown): FileMark | 'damaged' {
  if (!isObject(value) || !isObject(value['head'])) return 'damaged'
  const { identity, offset, head } = value
  const { bytes, sha256 } = head
  if (typeof identity !== 'string' || !isCount(offset)) return 'damaged'
  if (!isCount(bytes) || bytes > HEAD_BYTES || typeof sha256 !== 'string') return 'damaged'
  return { identity, offset, head: { bytes, sha256 } }
}

function wrong(problem: string): ParsedCheckpoint {
  return { ok: false, problem }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(each => typeof each === 'string')
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
