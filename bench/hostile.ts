/**
 * Group `hostile`: what the slowest image costs on the slowest pattern that the loader accepts. The promise is 1 ms.
 *
 * The figure of a pair is the least of several runs: what the scheduler, the collector or another program adds is not
 * the pair's. First runs, in which the engine still interprets a new expression, have a row of their own.
 */

import picomatch from 'picomatch'
import { type CompiledPolicy, evaluate, parsePattern } from '../src/policy/index.js'
import { CONTEXT, forgetVerdicts, policyOf } from './generated-policy.js'
import {
  breedPairs,
  HOSTILE_PATTERNS,
  type HostilePair,
  hostileImages,
  inOtherLetters,
  MANY_EXPRESSIONS,
} from './hostile-cases.js'
import { digits, formatMicros, type GroupReport, leastMicros, type Plan, quantile, type Row } from './measure.js'

const LIMIT_MICROS = 1_000
const REPEATS = 4
/** A pair that looks slower than this is run again, so that only what is really slow stays slow. */
const SUSPICIOUS_MICROS = 250
const SUSPICIOUS_REPEATS = 40
const BRED_PAIRS = 6_000
const QUICK_BRED_PAIRS = 600
const FIRST_RUNS = 60
/** Each takes 4,000 of the 200,000 steps that the loader grants a policy. */
const MANY_PATTERNS = 48
const HOSTILE_HOST = 'h.io'
const ORDINARY: HostilePair = { pattern: 'h.io/team/*', image: 'h.io/team/app:1.27.3' }
const ORDINARY_NAME = 'an ordinary image on a prefix pattern'

interface Cost extends HostilePair {
  readonly micros: number
}

export async function measureHostile(plan: Plan): Promise<GroupReport> {
  const ordinaryPolicy = policyOf([ORDINARY.pattern])
  const ordinary = judgeMicros(ordinaryPolicy, ORDINARY.image, 5_000)
  plan.progress('every hostile image on every hostile pattern')
  const listed = measureListed()
  plan.progress('bred pairs')
  const bred = measureBred(plan.isQuick ? QUICK_BRED_PAIRS : BRED_PAIRS)
  const all = [...listed, ...bred]
  const worst = dearest(all)
  plan.progress('first runs')
  const first = Math.max(measureFirstRun(worst), measureFirstRun(MANY_EXPRESSIONS))
  plan.progress('picomatch alone')
  const picomatchRows = measurePicomatch(plan)
  const row = (name: string, micros: number): Row => rowOf(name, micros, ordinary, ORDINARY_NAME)
  return {
    rows: [
      row(ORDINARY_NAME, ordinary),
      row(`${count(listed.length)} listed pairs: dearest`, dearest(listed).micros),
      row(`${count(bred.length)} bred pairs: dearest`, dearest(bred).micros),
      row(
        'all pairs: 99.9th percentile',
        quantile(
          all.map(({ micros }) => micros),
          0.999,
        ),
      ),
      row('the dearest pair, its pattern in every list of the policy', measureEverywhere(worst)),
      row('100 times the dearest pattern, with other tags', measureHundred(worst)),
      row('as many different ones behind one host as the loader accepts', measureMany(worst, MANY_PATTERNS)),
      row('a first run, when no expression is compiled yet', first),
      row('closest entry: 64 neighbours of 64 characters, twice', measureNeighbours()),
      ...picomatchRows,
      row('the dearest pair, once the engine has compiled 9,000 expressions', measureSpent(worst)),
    ],
    notes: [
      verdictOn('the dearest pair', worst.micros),
      `it was ${show(worst.pattern)} with ${show(worst.image)}`,
      `the dearest listed pair was ${show(dearest(listed).pattern)} with ${show(dearest(listed).image)}`,
      'picomatch alone, with four and five stars, is why the loader accepts two; five were not run (88 s when last tried)',
    ],
  }
}

function measureListed(): readonly Cost[] {
  const images = hostileImages()
  return HOSTILE_PATTERNS.flatMap(pattern => {
    const policy = acceptedPolicy(pattern)
    return images.map(image => ({ pattern, image, micros: costOf(policy, image) }))
  })
}

function measureBred(pairs: number): readonly Cost[] {
  return [...breedPairs(pairs)]
    .filter(({ pattern }) => parsePattern(pattern).ok)
    .map(pair => ({ ...pair, micros: costOf(acceptedPolicy(pair.pattern), pair.image) }))
}

/** A list that holds a refused pattern would measure nothing. */
function acceptedPolicy(pattern: string): CompiledPolicy {
  const parsed = parsePattern(pattern)
  if (!parsed.ok) throw new Error(`the loader refuses ${pattern}: ${parsed.fault.message}`)
  return policyOf([pattern])
}

function costOf(policy: CompiledPolicy, image: string): number {
  const micros = judgeMicros(policy, image, REPEATS)
  return micros < SUSPICIOUS_MICROS ? micros : Math.min(micros, judgeMicros(policy, image, SUSPICIOUS_REPEATS))
}

/** The pair in letters that were never used, so that nothing of it is compiled yet; the least of several such. */
function measureFirstRun(pair: HostilePair): number {
  const costs = Array.from({ length: FIRST_RUNS }, (_, variant) => {
    const { pattern, image } = inOtherLetters(pair, variant)
    const policy = acceptedPolicy(pattern)
    return judgeMicros(policy, image, 1)
  })
  return Math.min(...costs)
}

/** Deny entries and exceptions are asked too, and a digest asks the allow entries twice: four times the one pattern. */
function measureEverywhere({ pattern, image }: HostilePair): number {
  const exception = {
    id: 'bench',
    images: [pattern],
    namespaces: ['*'],
    expires: '2099-01-01T00:00:00Z',
    reason: 'bench',
    owner: 'bench',
  }
  return costOf(policyOf([pattern], { deny: [pattern], exceptions: [exception] }), image)
}

/** As bad as the dearest, and one and all different from the first glob on, as far as the loader lets them. */
function measureMany({ image }: HostilePair, count: number): number {
  const patterns = Array.from({ length: count }, (_, index) => {
    const letters = index.toString(2).padStart(6, '0').replaceAll('0', 'a').replaceAll('1', 'b')
    return `${HOSTILE_HOST}/**/${Array.from({ length: 15 }, (_, part) => `*${letters.slice(part % 3, 1 + (part % 3))}*${letters.slice(part % 6)}`).join('/')}`
  })
  const policy = policyOf(patterns)
  const images = [image, ...hostileImages().filter(one => one.startsWith(HOSTILE_HOST))]
  return Math.max(...images.map(one => judgeMicros(policy, one, 10)))
}

/** Patterns that differ in nothing but their tags, as they are written for one repository after the other. */
function measureHundred({ pattern, image }: HostilePair): number {
  const tagAt = pattern.indexOf(':')
  const name = tagAt === -1 ? pattern : pattern.slice(0, tagAt)
  return judgeMicros(policyOf(Array.from({ length: 100 }, (_, index) => `${name}:v${index}`)), image, 10)
}

/**
 * V8 has a budget for the machine code of expressions. Once it is spent (seen in Node 20 at some 7,000 of them), each new
 * expression takes four to five times as long, until the process ends. A policy of thousands of wildcard patterns brings
 * a webhook there. So this comes last.
 */
function measureSpent({ pattern, image }: HostilePair): number {
  const expressions = Array.from({ length: 9_000 }, (_, index) => picomatch.makeRe(`h.io/team-${index}/*-app/v*.*`))
  for (const text of ['', 'h/a', 'h/b']) for (const expression of expressions) expression.test(text)
  const fresh = inOtherLetters({ pattern, image }, FIRST_RUNS + 1)
  return costOf(acceptedPolicy(fresh.pattern), fresh.image)
}

/** The host is mistyped and so is the organisation: both are compared with as many long neighbours as are ever compared. */
function measureNeighbours(): number {
  const name = (index: number): string => `${'ab'.repeat(26)}${String(index).padStart(3, '0')}`
  const hosts = Array.from({ length: 64 }, (_, index) => `${name(index)}.example/${name(0)}/app`)
  const organisations = Array.from({ length: 64 }, (_, index) => `${name(1)}.example/x${name(index)}abcdefg/app`)
  const policy = policyOf([...hosts, ...organisations])
  const image = `${name(1).slice(0, -1)}x.example/y${'ba'.repeat(29)}abcd/app`
  return judgeMicros(policy, image, 50)
}

/** What the bounds are for: one glob, one segment of 255 characters that never matches. */
function measurePicomatch(plan: Plan): readonly Row[] {
  const text = 'a'.repeat(255)
  const baseline = 'picomatch alone, 2 stars on 255 characters'
  const cost = (stars: number, repeats: number): number => {
    const matches = picomatch(`${'*a'.repeat(stars)}b`)
    return leastMicros(() => matches(text), repeats)
  }
  const two = cost(2, 200)
  const three = cost(3, 20)
  const four = cost(4, plan.isQuick ? 2 : 3)
  return [
    rowOf(baseline, two, two, baseline),
    rowOf('picomatch alone, 3 stars on 255 characters', three, two, baseline),
    rowOf('picomatch alone, 4 stars on 255 characters', four, two, baseline),
  ]
}

/** How long one image takes that was never seen before, in microseconds: the least of several runs. */
function judgeMicros(policy: CompiledPolicy, image: string, repeats: number): number {
  return leastMicros(
    () => evaluate(policy, image, CONTEXT),
    repeats,
    () => forgetVerdicts(policy),
  )
}

function dearest(costs: readonly Cost[]): Cost {
  return costs.reduce((worst, cost) => (cost.micros > worst.micros ? cost : worst))
}

function rowOf(name: string, micros: number, against: number, baseline: string): Row {
  const ratio = micros / against
  return { name, figure: formatMicros(micros), ratio: { median: ratio, min: ratio, max: ratio }, baseline }
}

function verdictOn(what: string, micros: number): string {
  const isWithin = micros <= LIMIT_MICROS
  const share = digits((micros / LIMIT_MICROS) * 100)
  return `${what} cost ${formatMicros(micros)}: ${isWithin ? 'within' : 'BEYOND'} the promise of 1 ms (${share} %)`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** Long runs are counted, so that a line stays a line: `(ab/){14}a{210}`. */
function show(text: string): string {
  const folded = text
    .replaceAll(/((?:[^/]{1,8}\/)|[^/]{1,3}?)\1{3,}/g, (run: string, unit: string) => {
      const times = run.length / unit.length
      return unit.length === 1 ? `${unit}{${times}}` : `(${unit}){${times}}`
    })
    .replaceAll(/[^\x20-\x7e]/g, '?')
  return folded.length > 160 ? `${folded.slice(0, 160)}…` : folded
}
