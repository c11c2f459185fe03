import t from 'tap'
import {
  type KeptCertificates,
  type KnownCertificate,
  type PlanSettings,
  type PublishedTrust,
  planCertificates,
  type ServingCertificate,
} from '../../src/adapters/certificate-plan.js'
import {
  type CertificateCluster,
  type CertificateMaker,
  createCertificateRounds,
  type Versioned,
} from '../../src/adapters/certificate-round.js'
import { assertAsyncProperty, fc } from '../support/properties.js'

const NOW = Date.parse('2026-11-22T00:00:00Z')
const DAY = 86_400_000
const LIFE = 90 * DAY
const SETTINGS: PlanSettings = {
  names: ['sallyport.sallyport.svc'],
  lifetimeMs: LIFE,
  propagationMs: 30_000,
  jitter: 0,
  clockSkewMs: 300_000,
}

function authority(id: string, ageMs = 0): KnownCertificate {
  return { id, pem: id, madeAt: NOW - ageMs, notAfter: NOW - ageMs + 4 * LIFE }
}

function serving(id: string, issuer: string | undefined, ageMs = 0): ServingCertificate {
  return { id, pem: id, madeAt: NOW - ageMs, notAfter: NOW - ageMs + LIFE, issuer, names: SETTINGS.names }
}

function keptOf(changes: Partial<KeptCertificates> = {}): KeptCertificates {
  return {
    trusted: [authority('A')],
    signingKey: 'key of A',
    serving: serving('a1', 'A'),
    servingKey: 'key of a1',
    former: [],
    ...changes,
  }
}

/** @param forMs for how long they have been trusted. */
function published(authorities: readonly string[], forMs = DAY): PublishedTrust {
  return { authorities, since: id => (authorities.includes(id) ? NOW - forMs : undefined) }
}

const EMPTY: Partial<KeptCertificates> = {
  trusted: [],
  signingKey: undefined,
  serving: undefined,
  servingKey: undefined,
}

t.test('each situation has one next step', async t => {
  const cases: readonly (readonly [string, KeptCertificates, PublishedTrust | undefined, string])[] = [
    ['nothing at all', keptOf(EMPTY), published([]), 'begin'],
    ['nothing, and no configuration yet', keptOf(EMPTY), undefined, 'begin'],
    ['all is well', keptOf(), published(['A']), 'wait'],
    ['all is well, and no configuration yet', keptOf(), undefined, 'wait'],
    ['the configuration was reset', keptOf(), published([]), 'publish'],
    ['somebody else’s authority stands there', keptOf(), published(['X']), 'publish'],
    ['… beside ours', keptOf(), published(['A', 'X']), 'publish'],
    ['two thirds are over', keptOf({ serving: serving('a1', 'A', LIFE * 0.67) }), published(['A']), 'issue'],
    ['shortly before that', keptOf({ serving: serving('a1', 'A', LIFE * 0.66) }), published(['A']), 'wait'],
    ['the serving certificate has expired', keptOf({ serving: serving('a1', 'A', LIFE) }), published(['A']), 'issue'],
    [
      '… and its authority is not even published',
      keptOf({ serving: serving('a1', 'A', LIFE) }),
      published([]),
      'issue',
    ],
    [
      '… and nobody can sign',
      keptOf({ serving: serving('a1', 'A', LIFE), signingKey: undefined }),
      published(['A']),
      'begin',
    ],
    ['it is signed by a stranger', keptOf({ serving: serving('x1', undefined) }), published(['A']), 'issue'],
    ['its key is lost', keptOf({ servingKey: undefined }), published(['A']), 'issue'],
    [
      'its key is lost and its authority was published just now',
      keptOf({ servingKey: undefined }),
      published(['A'], 1_000),
      'wait',
    ],
    ['the signing key is lost', keptOf({ signingKey: undefined }), published(['A']), 'add-authority'],
    ['the authority grows old', keptOf({ trusted: [authority('A', LIFE * 2.7)] }), published(['A']), 'add-authority'],
    [
      'a new authority is not published',
      keptOf({ trusted: [authority('B'), authority('A')] }),
      published(['A']),
      'publish',
    ],
    [
      '… was published just now',
      keptOf({ trusted: [authority('B'), authority('A')] }),
      published(['B', 'A'], 29_999),
      'wait',
    ],
    [
      '… is known everywhere',
      keptOf({ trusted: [authority('B'), authority('A')] }),
      published(['B', 'A'], 30_000),
      'issue',
    ],
    [
      'the former authority’s last certificate lives',
      keptOf({
        trusted: [authority('B'), authority('A')],
        serving: serving('b1', 'B'),
        former: [serving('a1', 'A', LIFE - 1)],
      }),
      published(['B', 'A']),
      'wait',
    ],
    [
      '… expired a moment ago, by this clock',
      keptOf({
        trusted: [authority('B'), authority('A')],
        serving: serving('b1', 'B'),
        former: [serving('a1', 'A', LIFE + 1)],
      }),
      published(['B', 'A']),
      'wait',
    ],
    [
      '… expired long enough ago',
      keptOf({
        trusted: [authority('B'), authority('A')],
        serving: serving('b1', 'B'),
        former: [serving('a1', 'A', LIFE + 300_001)],
      }),
      published(['B', 'A']),
      'forget',
    ],
    [
      'an authority that signed nothing',
      keptOf({ trusted: [authority('A'), authority('X')] }),
      published(['A']),
      'forget',
    ],
  ]
  for (const [title, kept, trust, expected] of cases) {
    const step = planCertificates(kept, trust, SETTINGS, NOW)
    t.equal(step.type, expected, title)
    if (step.type === 'wait') t.ok(step.until > NOW, `${title}: something is due later`)
  }
})

t.test('replicas that want other names end with all of them', async t => {
  const other = { ...SETTINGS, names: ['other.example'] }
  const step = planCertificates(keptOf(), published(['A']), other, NOW)
  t.strictSame(step, { type: 'issue', names: ['other.example', 'sallyport.sallyport.svc'] })
  const both = keptOf({ serving: { ...serving('a2', 'A'), names: ['other.example', 'sallyport.sallyport.svc'] } })
  t.equal(planCertificates(both, published(['A']), other, NOW).type, 'wait')
  t.equal(planCertificates(both, published(['A']), SETTINGS, NOW).type, 'wait')
})

/** An API server with a Secret, a configuration and versions; certificates are mere names. */
class World {
  now = NOW
  /** Called before a write that replaces nothing alive. */
  onOutage = (): void => {}
  secret: Versioned<KeptCertificates> | undefined
  trust: Versioned<readonly string[]> | undefined
  #version = 0
  #made = 0

  next(): string {
    this.#version += 1
    return String(this.#version)
  }

  /** @param pause lets the others go first, before and after each request. */
  clusterFor(pause: () => Promise<void>): CertificateCluster {
    const during = async <T>(request: () => T): Promise<T> => {
      await pause()
      const answer = request()
      await pause()
      return answer
    }
    return {
      readTrust: () => during(() => this.trust),
      readKept: () => during(() => this.secret),
      writeKept: (kept, version) =>
        during(() => {
          if (this.secret?.version !== version) return 'conflict' as const
          if (!isAlive(this.secret?.value, this.now)) this.onOutage()
          this.secret = { value: kept, version: this.next() }
          return 'done' as const
        }),
      writeTrust: (authorities, version) =>
        during(() => {
          if (this.trust?.version !== version) return 'conflict' as const
          this.trust = { value: authorities.map(({ id }) => id), version: this.next() }
          return 'done' as const
        }),
    }
  }

  makerFor(pause: () => Promise<void>): CertificateMaker {
    const make = async <T extends object>(prefix: string, lifetimeMs: number, rest: T) => {
      await pause()
      this.#made += 1
      const id = `${prefix}${this.#made}`
      const certificate = { id, pem: id, madeAt: this.now, notAfter: this.now + lifetimeMs, ...rest }
      return { certificate, key: `key of ${id}` }
    }
    return {
      authority: lifetimeMs => make('CA', lifetimeMs, {}),
      serving: (issuer, _key, names, lifetimeMs) => make('leaf', lifetimeMs, { issuer: issuer.id, names }),
    }
  }
}

function isAlive(kept: KeptCertificates | undefined, now: number): boolean {
  return [kept?.serving, ...(kept?.former ?? [])].some(one => one?.issuer !== undefined && one.notAfter > now)
}

class Killed extends Error {}

/** Replicas that are interrupted at every request, killed or cut off; and API servers that hear of changes late. */
class Fleet {
  readonly world = new World()
  /** Which certificate each one serves. */
  readonly #serves = new Map<number, ServingCertificate>()
  /** What the configuration held, and until when some API server may still go by it. */
  #seen: { trust: readonly string[]; until: number }[] = []
  #isOutage = true
  readonly #roll: () => number
  readonly #interrupt: () => Promise<void>

  /** @param roll from 0 to 99. */
  constructor(roll: () => number, interrupt: () => Promise<void>) {
    this.#roll = roll
    this.#interrupt = interrupt
    this.world.trust = { value: [], version: this.world.next() }
    // Everything had expired, because all were killed too often: whatever comes now is better.
    this.world.onOutage = () => {
      this.#isOutage = true
    }
  }

  /** Some rounds of all of them at once, then weeks in which nothing happens; over many lives of a certificate. */
  async live(): Promise<void> {
    while (this.world.now < NOW + 8 * LIFE) {
      // Somebody meddles with the Secret now and then, so that authorities change often.
      const { secret } = this.world
      if (secret !== undefined && this.#roll() < 30) {
        this.world.secret = { value: { ...secret.value, signingKey: undefined }, version: this.world.next() }
      }
      await Promise.all([1, 2, 3].map(replica => this.#work(replica)))
      this.world.now += (LIFE * this.#roll()) / 400
    }
  }

  async #work(replica: number): Promise<void> {
    try {
      await this.#rounds(replica)
    } catch (error) {
      if (!(error instanceof Killed)) throw error
      // One that dies serves nothing; one that only loses its connection goes on with what it has.
      if (this.#roll() < 50) this.#serves.delete(replica)
    }
  }

  async #rounds(replica: number): Promise<void> {
    const pause = () => this.#pause()
    const rounds = createCertificateRounds({
      cluster: this.world.clusterFor(pause),
      maker: this.world.makerFor(pause),
      settings: { ...SETTINGS, jitter: this.#roll() / 100 },
      now: () => this.world.now,
    })
    for (let round = 0; round < 3; round += 1) {
      const { kept } = await rounds.run()
      if (kept.serving !== undefined) this.#serves.set(replica, kept.serving)
      await pause()
      this.world.now += 20_000
    }
  }

  async #pause(): Promise<void> {
    this.#check()
    await this.#interrupt()
    this.#check()
    if (this.#roll() < 2) throw new Killed()
  }

  #check(): void {
    const { now, trust } = this.world
    const present = trust?.value ?? []
    if (this.#isOutage) {
      if (!present.includes(this.world.secret?.value.serving?.issuer ?? '')) return
      this.#isOutage = false
      this.#seen = []
      this.#serves.clear()
    }
    const last = this.#seen.at(-1)
    if (last?.trust !== present) {
      if (last !== undefined) last.until = now + SETTINGS.propagationMs
      this.#seen.push({ trust: present, until: Number.POSITIVE_INFINITY })
    }
    const inUse = this.#seen.filter(({ until }) => until > now)
    for (const [replica, { id, issuer = '', notAfter }] of this.#serves) {
      if (notAfter <= now || inUse.every(({ trust }) => trust.includes(issuer))) continue
      throw new Error(`replica ${replica} serves ${id} of ${issuer}, trusted: ${JSON.stringify(inUse)}`)
    }
  }
}

/** Numbers from 0 to 99 that look random, always the same for a seed. */
function diceOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * 100)
  }
}

/** All who wait go on in an order of the dice's, one at a time. */
function interleaving(roll: () => number): () => Promise<void> {
  const waiting: (() => void)[] = []
  const goOn = (): void => {
    const [next] = waiting.splice(roll() % waiting.length, 1)
    next?.()
    if (waiting.length > 0) setImmediate(goOn)
  }
  return () =>
    new Promise(resolve => {
      waiting.push(resolve)
      if (waiting.length === 1) setImmediate(goOn)
    })
}

t.test('whatever replicas do in whatever order, and wherever they die, what is served is trusted', async t => {
  let versions = 0
  await assertAsyncProperty(
    fc.asyncProperty(fc.integer(), async seed => {
      const roll = diceOf(seed)
      const fleet = new Fleet(roll, interleaving(roll))
      await fleet.live()
      versions += Number(fleet.world.secret?.version ?? 0)
    }),
    { numRuns: 60 },
  )
  t.ok(versions > 1_000, `${versions} versions`)
})

t.test('a Secret that is emptied under running replicas gets back what they serve', async t => {
  const world = new World()
  world.trust = { value: [], version: world.next() }
  const immediately = () => Promise.resolve()
  const rounds = createCertificateRounds({
    cluster: world.clusterFor(immediately),
    maker: world.makerFor(immediately),
    settings: SETTINGS,
    now: () => world.now,
  })
  const { kept } = await rounds.run()
  for (const gone of [undefined, { value: keptOf(EMPTY), version: world.next() }]) {
    world.secret = gone
    await rounds.run()
    t.strictSame(world.secret?.value, kept)
  }
})

t.test('a configuration that is reset is mended, and one that comes late is filled in', async t => {
  const world = new World()
  const immediately = () => Promise.resolve()
  const rounds = createCertificateRounds({
    cluster: world.clusterFor(immediately),
    maker: world.makerFor(immediately),
    settings: SETTINGS,
    now: () => world.now,
  })
  const first = await rounds.run()
  t.ok(first.isTrusted, 'nobody asks yet')
  const ids = first.kept.trusted.map(({ id }) => id)
  for (const value of [[], ['somebody else']]) {
    world.trust = { value, version: world.next() }
    const { isTrusted } = await rounds.run()
    t.ok(isTrusted)
    t.strictSame(world.trust.value, ids)
  }
})
