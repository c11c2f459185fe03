/** Events at a low rate; what the API server makes of them is tested with a real one (test/e2e/sinks.test.ts). */

import t from 'tap'
import { openEventsSink } from '../../src/adapters/sink-events.js'
import { outcomeOfKubernetes } from '../../src/adapters/sink-kubernetes.js'
import { compileSinks } from '../../src/adapters/sink-spec.js'
import { findingOf, fingerprintOf } from '../support/findings.js'

t.test('whoever waits for a turn is not too late: the deadline is for the API server', async t => {
  const [spec] = compileSinks(['kubernetes-events?rate=60'])
  if (spec?.type !== 'kubernetes-events') throw new Error('no events')
  const written: string[] = []
  const client = {
    read: async (path: string) => ({ metadata: { name: path.split('/').at(-1), namespace: 'team-a', uid: path } }),
    send: async (method: string, path: string, _options: object, signal: AbortSignal) => {
      signal.throwIfAborted()
      written.push(`${method} ${path}`)
    },
  }
  const sink = openEventsSink(spec, client, 200)
  const never = new AbortController().signal
  // One on the pod, one on its owner: the burst is over with the 25th write.
  for (let number = 0; written.length < 26; number += 1) {
    const finding = findingOf({ fingerprint: fingerprintOf(number), owner: { kind: 'Deployment', name: 'web' } })
    t.match(await sink.send([finding], never), { type: 'delivered' }, `finding ${number}`)
  }
  t.equal(written.length, 26)
  const stop = new AbortController()
  const stopped = sink.send([findingOf({ fingerprint: fingerprintOf(99) })], stop.signal)
  stop.abort()
  t.match(await stopped, { type: 'retry' }, 'the end of the program waits for no turn')
  sink.close()
})

t.test('what goes wrong on the way is tried again; a bug of ours is not', async t => {
  for (const error of [
    new Error('the API server was silent for 30000 ms'),
    Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    Object.assign(new TypeError('Invalid character in header content'), { code: 'ERR_INVALID_CHAR' }),
    new SyntaxError('Unexpected token < in JSON'),
    new DOMException('This operation was aborted', 'AbortError'),
  ]) {
    t.match(outcomeOfKubernetes(error, 'get'), { type: 'retry' }, error.message)
  }
  for (const error of [new TypeError('x is not a function'), new RangeError('Invalid array length'), 'a string']) {
    t.throws(() => outcomeOfKubernetes(error, 'get'), String(error))
  }
})
