/**
 * Gzip data (RFC 1952), member after member, up to its end or up to where it is damaged.
 *
 * Node's own gunzip throws away what it has decompressed when it meets damage. To whoever reads an export that was cut off
 * by a full disk, or has something behind its end, all that stands before it matters.
 */

import { constants, crc32, createInflateRaw, type InflateRaw } from 'node:zlib'

/** So much is decompressed at once; of a piece that is damaged all is lost. */
const PIECE_BYTES = 16 * 1024
const OUTPUT_BYTES = 256 * 1024
/** The first bytes of a header, with its one method; flags, a time and more follow. */
const HEADER = [0x1f, 0x8b, 8]
const HEADER_REST_BYTES = 7
const TRAILER_BYTES = 8
/** Longer names and comments are taken for damage. */
const MAX_TEXT_BYTES = 64 * 1024
/** Flags of a header. */
const CHECKSUM = 2
const EXTRA = 4
const NAME = 8
const COMMENT = 16
const MAX_FLAGS = 31
const NUL = 0

const EARLY_END = 'it ends too early'
const NO_HEADER = 'it has no gzip header'

/** The data cannot be read any further. */
export class GzipDamage extends Error {
  override readonly name = 'GzipDamage'
  /** As zlib has it. */
  readonly code = 'Z_DATA_ERROR'
  /** Whether any plain byte was given out before. */
  readonly isReadableBefore: boolean

  /** @param problem half a sentence. */
  constructor(problem: string, isReadableBefore: boolean, options?: ErrorOptions) {
    super(problem, options)
    this.isReadableBefore = isReadableBefore
  }
}

/** @throws GzipDamage, after everything that stands before it; what the chunks throw comes out as it is. */
export async function* gunzip(chunks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const input = new ByteInput(chunks)
  let isAnyRead = false
  try {
    for (let members = 0; members === 0 || (await isAnotherThere(input)); members += 1) {
      const problem = await passHeader(input)
      if (problem === NO_HEADER && members > 0) throw new Fault('something else stands behind its end')
      if (problem !== undefined) throw new Fault(problem)
      for await (const bytes of inflateMember(input)) {
        isAnyRead ||= bytes.length > 0
        yield bytes
      }
    }
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw new GzipDamage(error.message, isAnyRead, { cause: error.cause })
  }
}

/** What is wrong, in half a sentence. */
class Fault extends Error {}

async function* inflateMember(input: ByteInput): AsyncGenerator<Buffer> {
  const inflater = createInflateRaw({ chunkSize: OUTPUT_BYTES, flush: constants.Z_SYNC_FLUSH })
  // Of each piece its own step hears; a later one has nobody left.
  inflater.on('error', () => {})
  try {
    let crc = 0
    let size = 0
    for (let isOver = false; !isOver; ) {
      const piece = await input.piece()
      if (piece === undefined) throw new Fault(EARLY_END)
      const { outputs, problem, unread } = await inflate(inflater, piece)
      for (const bytes of outputs) {
        crc = crc32(bytes, crc)
        size += bytes.length
        yield bytes
      }
      if (problem !== undefined) throw new Fault('its data is wrong', { cause: problem })
      isOver = unread !== undefined
      input.giveBack(unread ?? 0)
    }
    const trailer = await input.take(TRAILER_BYTES)
    if (trailer === undefined) throw new Fault(EARLY_END)
    const isRight = trailer.readUInt32LE(0) === crc && trailer.readUInt32LE(4) === size % 2 ** 32
    if (!isRight) throw new Fault('its checksum is wrong')
  } finally {
    inflater.close()
  }
}

/** Zeros may fill up a block of a tape. */
async function isAnotherThere(input: ByteInput): Promise<boolean> {
  for (let piece = await input.piece(); piece !== undefined; piece = await input.piece()) {
    const start = piece.findIndex(byte => byte !== NUL)
    if (start === -1) continue
    input.giveBack(piece.length - start)
    return true
  }
  return false
}

/** @returns what is wrong with it. */
async function passHeader(input: ByteInput): Promise<string | undefined> {
  for (const expected of HEADER) {
    const [byte] = (await input.take(1)) ?? []
    if (byte !== expected) return byte === undefined ? EARLY_END : NO_HEADER
  }
  const [flags] = (await input.take(HEADER_REST_BYTES)) ?? []
  if (flags === undefined) return EARLY_END
  if (flags > MAX_FLAGS) return NO_HEADER
  return (await passOptional(input, flags)) ? undefined : EARLY_END
}

/** What a header may hold besides. @returns false when it ends before. */
async function passOptional(input: ByteInput, flags: number): Promise<boolean> {
  if (flags & EXTRA) {
    const length = (await input.take(2))?.readUInt16LE(0)
    if (length === undefined || (await input.take(length)) === undefined) return false
  }
  for (const text of [NAME, COMMENT]) if (flags & text && !(await input.passText())) return false
  return !(flags & CHECKSUM) || (await input.take(2)) !== undefined
}

interface InflateStep {
  readonly outputs: readonly Buffer[]
  /** How many bytes of the piece stand behind the data, when that is over. */
  readonly unread?: number
  readonly problem?: unknown
}

/** One piece at a time: all of what it gives is there before the next is asked for. */
function inflate(inflater: InflateRaw, piece: Buffer): Promise<InflateStep> {
  const outputs: Buffer[] = []
  const before = inflater.bytesWritten
  return new Promise(resolve => {
    const settle = (step: Omit<InflateStep, 'outputs'>): void => {
      inflater.off('data', take).off('end', end).off('error', fail)
      resolve({ outputs, ...step })
    }
    const take = (bytes: Buffer): void => {
      outputs.push(bytes)
    }
    const end = (): void => settle({ unread: piece.length - (inflater.bytesWritten - before) })
    const fail = (problem: unknown): void => settle({ problem })
    inflater.on('data', take).once('end', end).once('error', fail)
    inflater.write(piece, problem => {
      // What was put out in this very turn comes in the next.
      if (problem === null || problem === undefined) setImmediate(() => settle({}))
    })
  })
}

/** Bytes by number, whatever the chunks in which they come. */
class ByteInput {
  readonly #chunks: AsyncGenerator<Buffer>
  #chunk: Buffer = Buffer.alloc(0)
  #offset = 0

  constructor(chunks: AsyncGenerator<Buffer>) {
    this.#chunks = chunks
  }

  /** The next few; undefined at the end. */
  async piece(): Promise<Buffer | undefined> {
    while (this.#offset === this.#chunk.length) {
      const next = await this.#chunks.next()
      if (next.done === true) return undefined
      this.#chunk = next.value
      this.#offset = 0
    }
    const piece = this.#chunk.subarray(this.#offset, this.#offset + PIECE_BYTES)
    this.#offset += piece.length
    return piece
  }

  /** The end of the last piece. */
  giveBack(bytes: number): void {
    this.#offset -= bytes
  }

  /** So many; undefined where there are fewer. */
  async take(count: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    for (let missing = count; missing > 0; ) {
      const piece = await this.piece()
      if (piece === undefined) return undefined
      parts.push(piece.subarray(0, missing))
      this.giveBack(Math.max(0, piece.length - missing))
      missing -= Math.min(missing, piece.length)
    }
    return Buffer.concat(parts)
  }

  /** A text that ends with NUL. */
  async passText(): Promise<boolean> {
    for (let length = 0; length < MAX_TEXT_BYTES; ) {
      const piece = await this.piece()
      if (piece === undefined) return false
      const end = piece.indexOf(NUL)
      if (end === -1) length += piece.length
      else {
        this.giveBack(piece.length - end - 1)
        return true
      }
    }
    return false
  }
}
