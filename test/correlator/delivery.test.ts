/** Deliveries under failure: at least once, or in the dead letters; never in the way of who offers. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as realSleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openFindingStore } from '../../src/adapters/finding-store-file.js'
import type {
  DeadLetter,
  DeliveryOptions,
  DeliveryQueue,
  FindingReceiver,
  SendOutcome,
} from '../../src/correlator/delivery.js'
import { deliveryIdOf, isWanted } from '../../src/correlator/delivery.js'
import { createMemoryQueue } from '../../src/correlator/delivery-queue.js'
import { DeliveryRunner } from '../../src/correlator/delivery-runner.js'
import type { Finding } from '../../src/correlator/finding.js'
import { ArchiveUnavailable } from '../../src/correlator/finding-archive.js'
import { findingOf, fingerprintOf } from '../support/findings.js'
import { assertAsyncProperty, fc } from '../support/properties.js'

const ALL = { minSeverity: 'info', kinds: undefined } as const
const NOW = Date.parse('2026-11-22T00:00:00Z')

interface Bench {
  readonly runner: DeliveryRunner
  readonly letters: DeadLetter[]
  readonly news: string[]
  readonly pauses: number[]
}

/** A runner whose pauses take no time, and are written down. */
function benchOf(receiver: FindingReceiver, options: Partial<DeliveryOptions> = {}): Bench {
  const letters: DeadLetter[] = []
  const news: string[] = []
  const pauses: number[] = []
  const runner = new DeliveryRunner({
    name: 'test',
    receiver,
    queue: createMemoryQueue(),
    filter: ALL,
    deadLetters: {
      write: more => {
        letters.push(...more)
        return true
      },
    },
    now: () => NOW,
    random: () => 1,
    sleep: async ms => {
      pauses.push(ms)
      await new Promise(resolve => setImmediate(resolve))
    },
    onNews: sentence => news.push(sentence),
    ...options,
  })
  runner.start()
  return { runner, letters, news, pauses }
}

function receiverOf(maxBatch: number, send: (findings: readonly Finding[]) => SendOutcome): FindingReceiver {
  return { maxBatch, send: async findings => send(findings), close() {} }
}

const within = (ms: number): Promise<void> => realSleep(ms)

async function until(t: Test, what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!isSo() && Date.now() < deadline) await realSleep(1)
  t.ok(isSo(), what)
}

const update = (number: number, emission: number): Finding =>
  findingOf({ fingerprint: fingerprintOf(number), emission, count: emission })

/** The state's file as a queue: `save` is what puts findings there. */
function durableQueue(directory: string): { queue: DeliveryQueue; close(): void } {
  const store = openFindingStore(directory, [{ name: 'test', isWanted: () => true }])
  store.claim()
  const queue = store.outbox.queueOf('test')
  const save = (pending: readonly Finding[]): void =>
    store.save({ findings: [], forgotten: [], pending, position: undefined, watch: { since: 0, until: 0 } })
  return {
    queue: {
      get size() {
        return queue.size
      },
      isDurable: true,
      put: finding => save([finding]),
      take: count => queue.take(count),
      settle: deliveries => queue.settle(deliveries),
      postpone: delivery => queue.postpone(delivery),
    },
    close: () => store.close(),
  }
}

function memoryQueue(): { queue: DeliveryQueue; close(): void } {
  return { queue: createMemoryQueue(), close() {} }
}

async function emptied(queue: DeliveryQueue): Promise<void> {
  while (queue.size > 0) await new Promise(resolve => setImmediate(resolve))
}

for (const kind of ['memory', 'file'] as const) {
  t.test(`a queue in ${kind} holds the last update of each fingerprint, the oldest first`, async t => {
    const { queue, close } = kind === 'memory' ? memoryQueue() : durableQueue(join(t.testdir(), 'state'))
    t.teardown(close)
    const held = () => queue.take(10).map(({ finding }) => `${Number(`0x${finding.fingerprint}`)}.${finding.emission}`)
    for (const [number, emission] of [
      [1, 1],
      [2, 1],
      [3, 1],
      [1, 2],
    ] as const) {
      queue.put(update(number, emission))
    }
    t.same(held(), ['2.1', '3.1', '1.2'])
    t.equal(queue.size, 3)
    const taken = queue.take(2)
    t.equal(taken.length, 2)
    t.equal(queue.size, 3, 'they stay until they are settled')
    queue.put(update(2, 2))
    queue.settle(taken)
    t.same(held(), ['1.2', '2.2'], 'an update that came meanwhile is not settled with its forerunner')
    const [first] = queue.take(1)
    if (first !== undefined) queue.postpone(first)
    t.same(held(), ['2.2', '1.2'])
    if (first !== undefined) {
      queue.postpone(first)
      queue.settle([first])
    }
    t.same(held(), ['2.2', '1.2'], 'an old delivery moves nothing')
    t.equal(queue.size, 2)
    queue.settle(queue.take(9))
    t.equal(queue.size, 0)
    t.same(queue.take(1), [])
  })
}

t.test('whatever fails, the last state of each promised finding arrives or is a dead letter', async t => {
  const outcome = fc.oneof(
    { weight: 3, arbitrary: fc.constant('ok' as const) },
    { weight: 1, arbitrary: fc.constantFrom('retry', 'refused', 'part', 'throw', 'rejected') },
  )
  const step = fc.record({ number: fc.integer({ min: 0, max: 6 }), waits: fc.boolean() })
  const script = fc.record({
    steps: fc.array(step, { minLength: 1, maxLength: 40 }),
    outcomes: fc.array(outcome, { maxLength: 30 }),
    poison: fc.subarray([0, 1, 2, 3, 4, 5, 6], { maxLength: 2 }),
    maxBatch: fc.integer({ min: 1, max: 5 }),
    maxQueued: fc.integer({ min: 1, max: 10 }),
    isDurable: fc.boolean(),
    endsEarly: fc.boolean(),
  })
  const root = t.testdir()
  let runs = 0
  await assertAsyncProperty(
    fc.asyncProperty(script, async ({ steps, outcomes, poison, maxBatch, maxQueued, isDurable, endsEarly }) => {
      runs += 1
      const directory = join(root, String(runs))
      const arrived: Finding[] = []
      const letters: DeadLetter[] = []
      const script = [...outcomes]
      const send = (findings: readonly Finding[]): SendOutcome => {
        if (findings.some(({ fingerprint }) => poison.includes(Number(`0x${fingerprint}`)))) {
          return { type: 'rejected', problem: 'poison' }
        }
        const next = script.shift() ?? 'ok'
        if (next === 'throw') throw new Error('a bug')
        if (next === 'retry' || next === 'refused' || next === 'rejected') return { type: next, problem: next }
        const count = next === 'part' ? 1 : findings.length
        arrived.push(...findings.slice(0, count))
        return { type: 'delivered', count }
      }
      const emissions = new Map<number, number>()
      const live = async (part: typeof steps, isLast: boolean): Promise<void> => {
        const { queue, close } = isDurable ? durableQueue(directory) : memoryQueue()
        const bench = benchOf(receiverOf(maxBatch, send), { queue, maxQueued })
        for (const { number, waits } of part) {
          const emission = (emissions.get(number) ?? 0) + 1
          emissions.set(number, emission)
          bench.runner.offer(update(number, emission))
          if (waits) await new Promise(resolve => setImmediate(resolve))
        }
        if (isLast) await emptied(queue)
        await bench.runner.close(within(100))
        letters.push(...bench.letters)
        close()
      }
      // A run that ends while something fails, and another one after it.
      await live(steps.slice(0, steps.length / 2), !endsEarly)
      await live(steps.slice(steps.length / 2), true)
      for (const [number, emission] of emissions) {
        const isLastState = (finding: Finding) =>
          finding.fingerprint === fingerprintOf(number) && finding.emission === emission
        assert.ok(
          arrived.some(isLastState) || letters.some(({ finding }) => isLastState(finding)),
          `${number}.${emission} is lost`,
        )
        const order = arrived.filter(({ fingerprint }) => fingerprint === fingerprintOf(number))
        for (const [index, { emission }] of order.entries()) {
          assert.ok(emission >= (order[index - 1]?.emission ?? 0), 'updates come in their order')
        }
      }
    }),
    { numRuns: 150 },
  )
  t.pass()
})

t.test('a queue whose file cannot be written is waited for, and nothing is sent or buried twice meanwhile', async t => {
  const sent: string[] = []
  const poison = fingerprintOf(2)
  const receiver = receiverOf(1, ([finding]) => {
    sent.push(finding?.fingerprint ?? '')
    return finding?.fingerprint === poison ? { type: 'rejected', problem: 'code 6' } : { type: 'delivered' }
  })
  const inner = createMemoryQueue()
  let failures = 0
  const unlessFull = <Result>(work: () => Result): Result => {
    failures += 1
    if (failures % 3 !== 0) throw new ArchiveUnavailable('the disk is full', 'full')
    return work()
  }
  const queue: DeliveryQueue = {
    get size() {
      return inner.size
    },
    isDurable: true,
    put: finding => inner.put(finding),
    take: count => unlessFull(() => inner.take(count)),
    settle: deliveries => unlessFull(() => inner.settle(deliveries)),
    postpone: delivery => unlessFull(() => inner.postpone(delivery)),
  }
  const { runner, letters } = benchOf(receiver, { queue, maxQueued: 5 })
  for (let number = 1; number <= 4; number += 1) runner.offer(update(number, 1))
  runner.start()
  await emptied(queue)
  t.same(sent, [1, 2, 3, 4].map(fingerprintOf))
  t.equal(letters.length, 1)
  t.match(runner.state, { sent: 3, deadLetters: { rejected: 1 } })
  failures = 0
  for (let number = 1; number <= 9; number += 1) t.doesNotThrow(() => runner.offer(update(number, 2)))
  await emptied(queue)
  await runner.close(Promise.resolve())
  const overflowed = letters.slice(1).filter(({ reason }) => reason === 'overflow')
  t.ok(overflowed.length > 0)
  t.equal(new Set(overflowed.map(({ finding }) => finding.fingerprint)).size, overflowed.length, 'each buried once')
})

t.test('one finding that is rejected does not take others with it', async t => {
  const sizes: number[] = []
  const arrived: Finding[] = []
  const { runner, letters } = benchOf(
    receiverOf(100, findings => {
      sizes.push(findings.length)
      if (findings.some(({ fingerprint }) => fingerprint === fingerprintOf(37))) {
        return { type: 'rejected', problem: 'code 6' }
      }
      arrived.push(...findings)
      return { type: 'delivered' }
    }),
  )
  for (let number = 0; number < 100; number += 1) runner.offer(update(number, 1))
  await until(t, 'done', () => runner.state.queued === 0)
  t.equal(new Set(arrived.map(({ fingerprint }) => fingerprint)).size, 99)
  t.match(letters, [{ at: NOW, sink: 'test', reason: 'rejected', problem: 'code 6', finding: update(37, 1) }])
  t.ok(sizes.length < 30, `${sizes.length} messages`)
  t.match(runner.state, { sent: 99, deadLetters: { rejected: 1 }, dropped: 0, isPaused: false, lastSuccessAt: NOW })
  await runner.close(within(100))
})

t.test('a finding over which the receiver breaks each time is gone round', async t => {
  const arrived: string[] = []
  const { runner } = benchOf(
    receiverOf(10, findings => {
      if (findings.some(({ fingerprint }) => fingerprint === fingerprintOf(0))) return { type: 'retry', problem: '500' }
      arrived.push(...findings.map(({ fingerprint }) => fingerprint))
      return { type: 'delivered' }
    }),
  )
  for (let number = 0; number < 20; number += 1) runner.offer(update(number, 1))
  await until(t, 'all others', () => arrived.length === 19)
  t.equal(runner.state.queued, 1)
  await runner.close(within(100))
})

t.test('a finding that is refused for itself, by a quota of its namespace, does not stop the others', async t => {
  const arrived: string[] = []
  const { runner } = benchOf(
    receiverOf(1, ([finding]) => {
      if (finding?.fingerprint === fingerprintOf(0)) return { type: 'refused', problem: 'exceeded quota' }
      arrived.push(finding?.fingerprint ?? '')
      return { type: 'delivered' }
    }),
  )
  for (let number = 0; number < 20; number += 1) runner.offer(update(number, 1))
  await until(t, 'all others', () => arrived.length === 19)
  t.match(runner.state, { queued: 1, deadLetters: { rejected: 0 } }, 'it waits for an operator')
  await runner.close(within(100))
})

t.test('a receiver that rejects a finding reads them: no operator is called for', async t => {
  const outcomes: SendOutcome[] = [
    { type: 'refused', problem: 'token' },
    { type: 'rejected', problem: 'code 6' },
  ]
  const seen: boolean[] = []
  const { runner } = benchOf(
    receiverOf(1, () => {
      seen.push(runner.state.isPaused)
      return outcomes.shift() ?? { type: 'delivered' }
    }),
  )
  runner.offer(update(1, 1))
  await until(t, 'it is given up', () => runner.state.queued === 0)
  t.same(seen, [false, true])
  t.match(runner.state, { isPaused: false, sent: 0, deadLetters: { rejected: 1 } })
  await runner.close(within(100))
})

t.test('a runner is behind when its queue is full and nothing is wrong', async t => {
  let outcome: SendOutcome | undefined
  const slow: FindingReceiver = {
    maxBatch: 1,
    async send() {
      await realSleep(5)
      return outcome ?? { type: 'delivered', count: 0 }
    },
    close() {},
  }
  const { runner } = benchOf(slow, { maxQueued: 2 })
  runner.offer(update(1, 1))
  t.equal(runner.isBehind, false)
  runner.offer(update(2, 1))
  t.equal(runner.isBehind, true)
  outcome = { type: 'retry', problem: 'no space' }
  await until(t, 'nobody is to wait for a full disk', () => !runner.isBehind)
  t.equal(runner.state.queued, 2)
  outcome = { type: 'delivered' }
  await until(t, 'done', () => runner.state.queued === 0)
  await runner.close(within(100))
})

t.test('pauses grow to their bound, honour what the receiver asks for, and begin anew after a success', async t => {
  const outcomes: SendOutcome[] = [
    ...Array.from({ length: 8 }, () => ({ type: 'retry', problem: 'away' }) as const),
    { type: 'retry', problem: 'busy', retryAfterMs: 90_000 },
    { type: 'retry', problem: 'busy', retryAfterMs: 1e12 },
    { type: 'delivered', restMs: 5_000 },
    { type: 'retry', problem: 'away' },
    { type: 'refused', problem: 'token' },
  ]
  const { runner, pauses, news } = benchOf(receiverOf(1, () => outcomes.shift() ?? { type: 'delivered' }))
  runner.offer(update(1, 1))
  runner.offer(update(2, 1))
  await until(t, 'done', () => runner.state.queued === 0)
  const seconds = pauses.map(ms => Math.round(ms / 1000))
  t.same(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 99, 660, 5, 1, 60])
  t.match(news, [/away/, /busy/, /again/, /away/, /until something is changed: token/, /again/])
  t.match(runner.state, { failures: { retry: 11, refused: 1, rejected: 0 }, sent: 2 })
  await runner.close(within(100))
})

t.test('who offers never waits, and memory stays bounded while a receiver hangs', async t => {
  let release = (): void => {}
  const hanging = new Promise<void>(resolve => {
    release = resolve
  })
  const receiver: FindingReceiver = {
    maxBatch: 10,
    send: async () => {
      await hanging
      return { type: 'delivered' }
    },
    close() {},
  }
  const { runner, letters } = benchOf(receiver, { maxQueued: 500 })
  const begun = performance.now()
  for (let number = 0; number < 5_000; number += 1) runner.offer(update(number, 1))
  for (let emission = 2; emission < 2_000; emission += 1) runner.offer(update(4_999, emission))
  t.ok(performance.now() - begun < 5_000)
  t.match(runner.state, { queued: 500, deadLetters: { overflow: 4_500 } })
  t.equal(letters.length, 4_500)
  const unbounded = benchOf(receiver)
  for (let number = 0; number < 25_100; number += 1) unbounded.runner.offer(update(number, 1))
  t.match(unbounded.runner.state, { queued: 25_000, deadLetters: { overflow: 100 } }, 'what memory may hold')
  release()
  await until(t, 'all is delivered', () => unbounded.runner.state.queued === 0)
  await unbounded.runner.close(within(10))
  await until(t, 'done', () => runner.state.queued === 0)
  await runner.close(within(100))
})

t.test('at the end a hanging receiver is given up after its time; nothing is lost without a word', async t => {
  const receiver: FindingReceiver = {
    maxBatch: 1,
    send: (_, signal) =>
      new Promise(resolve => {
        signal.addEventListener('abort', () => resolve({ type: 'retry', problem: 'stopped' }))
      }),
    close() {},
  }
  const options = { sleep: async (ms: number) => void (await realSleep(Math.min(ms, 50))) }
  const memory = benchOf(receiver, options)
  memory.runner.offer(update(1, 1))
  memory.runner.offer(update(2, 1))
  await memory.runner.close(within(50))
  t.match(memory.letters, [{ reason: 'stopped' }, { reason: 'stopped' }])
  t.match(memory.news.at(-1), /^2 findings .* dead letters: stopped$/)
  const lost = benchOf(receiver, { ...options, deadLetters: { write: () => false } })
  lost.runner.offer(update(1, 1))
  await lost.runner.close(within(50))
  t.match(lost.news.at(-1), /^1 findings .* lost: stopped$/)
  t.match(lost.runner.state, { dropped: 1, deadLetters: { stopped: 1 } })
  const { queue, close } = durableQueue(join(t.testdir(), 'state'))
  t.teardown(close)
  const durable = benchOf(receiver, { ...options, queue })
  durable.runner.offer(update(1, 1))
  await durable.runner.close(within(50))
  t.equal(durable.letters.length, 0)
  t.match(durable.news.at(-1), /^1 findings wait for the next run/)
  t.equal(queue.size, 1, 'it is there for the next run')
})

t.test('only what is wanted is delivered; dead letters that cannot be kept are counted', async t => {
  const filter = { minSeverity: 'medium', kinds: new Set(['offensive-tool', 'image-drift'] as const) } as const
  for (const [kind, severity, isSo] of [
    ['offensive-tool', 'medium', true],
    ['offensive-tool', 'high', true],
    ['offensive-tool', 'low', false],
    ['image-drift', 'high', true],
    ['coverage', 'high', false],
  ] as const) {
    t.equal(isWanted(filter, findingOf({ kind, severity })), isSo, `${kind} ${severity}`)
  }
  const { runner } = benchOf(
    receiverOf(1, () => ({ type: 'rejected', problem: 'no' })),
    { filter, deadLetters: { write: () => false } },
  )
  runner.offer(findingOf())
  t.equal(runner.state.queued, 0)
  runner.offer(findingOf({ kind: 'offensive-tool' }))
  await until(t, 'dropped', () => runner.state.dropped === 1)
  await runner.close(within(100))
})

t.test('a delivery has the same id when it is repeated, and no other has', async t => {
  t.equal(deliveryIdOf(findingOf()), deliveryIdOf(findingOf()))
  t.match(deliveryIdOf(findingOf({ node_name: 'a\nb' })), /^[0-9a-f]{32}$/)
  const ids = [{}, { emission: 2 }, { node_name: 'node-2' }, { fingerprint: fingerprintOf(1) }]
  t.equal(new Set(ids.map(changes => deliveryIdOf(findingOf(changes)))).size, ids.length)
})

t.test('a queue that breaks is no silent end', async t => {
  const broken: DeliveryQueue = {
    ...createMemoryQueue(),
    get size() {
      return 1
    },
    take() {
      throw new Error('disk full')
    },
  }
  const { runner } = benchOf(
    receiverOf(1, () => ({ type: 'delivered' })),
    { queue: broken },
  )
  await realSleep(1)
  t.throws(() => runner.offer(findingOf()), /disk full/)
})
