/** A steady stream of pods that are asked for and never made. */

import type { ApiServer } from './api-server.js'
import { pod } from './objects.js'
import { pause } from './process-group.js'

const CLIENTS = 4
const PAUSE_MS = 10

export interface LoadAnswer {
  /** Milliseconds since the epoch. */
  readonly askedAt: number
  /** When its answer was whole. */
  readonly answeredAt: number
  readonly status: number
  readonly body: unknown
}

export interface Load {
  readonly answers: readonly LoadAnswer[]
  stop(): Promise<void>
}

/** Ask for dry runs of a pod with the image, from four clients at once, until stopped. */
export function startLoad(server: ApiServer, namespace: string, image: string): Load {
  const answers: LoadAnswer[] = []
  let isOver = false
  const client = async () => {
    while (!isOver) {
      const askedAt = Date.now()
      const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`
      const answer = await server.request('POST', path, pod({ generateName: 'load-' }, image))
      answers.push({ askedAt, answeredAt: Date.now(), ...answer })
      await pause(PAUSE_MS)
    }
  }
  const clients = Promise.all(Array.from({ length: CLIENTS }, client))
  return {
    answers,
    stop: async () => {
      isOver = true
      await clients
    },
  }
}
