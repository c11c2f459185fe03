/** Reads where a process runs: pod and container, which one line after the other repeats. */

import { decodePod, type EventPod } from './exec-event.js'
import { matchAt, POD } from './exec-event-grammar.js'
import { hashOf, KnownTexts } from './exec-event-texts.js'
import { keyOf, type LineCursor } from './line-cursor.js'

/** What is kept: bytes in all, and how many. Far more pods than a node has; what was found out about each is kept as long. */
const PODS = [1_500_000, 8_192] as const
/** Of a pod: its name and uid, and the container's id. */
const HASHED = 200

const POD_KEY = keyOf('pod')
const PID = keyOf('pid')
const DOCKER = keyOf('docker')

/** A container, and what stands beside it in its process. */
export interface KnownContainer {
  /** The same object for the same container, for as long as it is remembered. */
  readonly pod: EventPod | undefined
  readonly docker: string | undefined
}

const NONE: KnownContainer = { pod: undefined, docker: undefined }

export class ContainerReader {
  readonly #cursor: LineCursor
  /** By container, with and without the mark of a probe, and after a change of labels: all but the pid inside it. */
  readonly #pods = new KnownTexts<KnownContainer>(...PODS)

  constructor(cursor: LineCursor) {
    this.#cursor = cursor
  }

  /** The pod, if there is one, and `docker`: usually part of what is known of a pod. Undefined: of another shape. */
  read(): KnownContainer | undefined {
    const cursor = this.#cursor
    const known = this.#readPod()
    if (known === undefined || !cursor.plainField(DOCKER)) return undefined
    if (cursor.from === -1) return known
    return { pod: known.pod, docker: cursor.slice(cursor.from, cursor.to) || undefined }
  }

  #readPod(): KnownContainer | undefined {
    const cursor = this.#cursor
    const { at: start, end, bytes, view } = cursor
    if (!cursor.key(POD_KEY)) return NONE
    const hash = hashOf(view, start, Math.min(end, start + HASHED))
    for (let place = this.#pods.next(hash); place !== -1; place = this.#pods.next(hash, place)) {
      const headEnd = this.#pods.headEnd(place, bytes, view, start, end)
      if (headEnd === -1) continue
      cursor.at = headEnd
      const tailEnd = cursor.numberField(PID) ? this.#pods.tailEnd(place, bytes, view, cursor.at, end) : -1
      if (tailEnd === -1) continue
      cursor.at = tailEnd
      return this.#pods.valueAt(place)
    }
    return this.#readNewPod(hash, start)
  }

  #readNewPod(hash: number, start: number): KnownContainer | undefined {
    const cursor = this.#cursor
    const found = matchAt(POD, cursor.slice(start, cursor.end))
    if (found === null) return undefined
    const [whole, head = '', tail = ''] = found
    const parsed: { readonly pod: unknown; readonly docker?: unknown } = JSON.parse(
      `{${whole.slice(whole.indexOf('"'))}}`,
    )
    const docker = typeof parsed.docker === 'string' && parsed.docker !== '' ? parsed.docker : undefined
    const known = { pod: decodePod(parsed.pod), docker }
    const end = start + whole.length
    cursor.at = end
    this.#pods.add(
      hash,
      cursor.bytes,
      { start, headEnd: start + head.length, tailStart: end - tail.length, end },
      known,
    )
    return known
  }
}
