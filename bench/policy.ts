/** Group `policy`: what a verdict costs as policies grow, against a loop over patterns, and what loading costs. */

import picomatch from 'picomatch'
import { parse } from 'yaml'
import { type CompiledPolicy, evaluate } from '../src/policy/index.js'
import {
  allowedImages,
  CONTEXT,
  compileText,
  deniedImages,
  forgetVerdicts,
  generateCrowdedWildcards,
  generateEntries,
  generateSpreadWildcards,
  policyOf,
  policyText,
} from './generated-policy.js'
import {
  alternate,
  type Contender,
  cpuMicrosPerCall,
  formatMicros,
  type GroupReport,
  median,
  type Plan,
  type Row,
  toRows,
} from './measure.js'
import { measureReload } from './reload.js'

const SLICE_MS = 60
const QUICK_SLICE_MS = 20
/** As many images as are judged by turns: enough that no single one stays in the processor's caches. */
const IMAGES = 96
const SIZES = [10, 1_000, 100_000]
const LOOP_SIZES = [1_000, 10_000]

type Expected = 'allowed' | 'denied'

export async function measurePolicy(plan: Plan): Promise<GroupReport> {
  const sliceMs = plan.isQuick ? QUICK_SLICE_MS : SLICE_MS
  const verdicts = await alternate(verdictContenders(sliceMs), plan)
  plan.progress('loading')
  const loading = await measureLoading(plan)
  plan.progress('reloading')
  return {
    rows: [
      ...toRows(
        verdicts,
        cost => cost,
        costs => `${formatMicros(median(costs))} a verdict`,
      ),
      ...loading,
      ...(await measureReload(plan)),
    ],
    notes: [
      'a denied image costs more than an allowed one: the closest entry is looked for, so that the message can name it',
    ],
  }
}

function verdictContenders(sliceMs: number): readonly Contender<number>[] {
  const contender = (name: string, baseline: string, work: () => number): Contender<number> => ({
    name,
    baseline,
    slice: () => cpuMicrosPerCall(work, sliceMs),
  })
  const denied = deniedImages(IMAGES)
  const sized = SIZES.flatMap(size => {
    const entries = generateEntries(size)
    const policy = policyOf(entries.map(({ pattern }) => pattern))
    const allowed = allowedImages(entries, IMAGES)
    return [
      contender(entriesName(size, 'allowed'), entriesName(10, 'allowed'), judgeAll(policy, allowed, 'allowed')),
      contender(entriesName(size, 'denied'), entriesName(10, 'denied'), judgeAll(policy, denied, 'denied')),
    ]
  })
  const loops = LOOP_SIZES.flatMap(size => {
    const entries = generateEntries(size)
    const match = loopOver(entries.map(({ pattern }) => pattern))
    const allowed = allowedImages(entries, IMAGES)
    return [
      contender(
        `picomatch in a loop, ${count(size)} patterns, allowed`,
        entriesName(1_000, 'allowed'),
        match(allowed, 'allowed'),
      ),
      contender(
        `picomatch in a loop, ${count(size)} patterns, denied`,
        entriesName(1_000, 'denied'),
        match(denied, 'denied'),
      ),
    ]
  })
  const large = generateEntries(100_000)
  const largePolicy = policyOf(large.map(({ pattern }) => pattern))
  const known = judgeKnown(largePolicy, allowedImages(large, IMAGES), 'allowed')
  const ordinary = generateEntries(10).map(({ pattern }) => pattern)
  const spread = policyOf([...ordinary, ...generateSpreadWildcards(1_000)])
  const crowded = policyOf([...ordinary, ...generateCrowdedWildcards(1_000)])
  const behindSpread = Array.from({ length: IMAGES }, (_, index) => spreadImage(index))
  return [
    ...sized,
    contender(
      '1,000 wildcard patterns behind 1,000 prefixes, allowed',
      entriesName(10, 'allowed'),
      judgeAll(spread, behindSpread, 'allowed'),
    ),
    contender(
      '1,000 wildcard patterns behind one host, denied',
      entriesName(10, 'denied'),
      judgeAll(crowded, denied.map(toCrowdedHost), 'denied'),
    ),
    contender('evaluate, 100,000 entries, an image judged before', entriesName(100_000, 'allowed'), known),
    ...loops,
  ]
}

function entriesName(size: number, outcome: Expected): string {
  return `evaluate, ${count(size)} entries, ${outcome}`
}

function count(size: number): string {
  return size.toLocaleString('en-US')
}

/** Accepted by the wildcard pattern of that number. */
function spreadImage(index: number): string {
  return (generateSpreadWildcards(index * 10 + 1).at(-1) ?? '').replace('*-server/v*', 'api-server/v1:1.27.3')
}

function toCrowdedHost(image: string): string {
  return `registry-0.example.com${image.slice(image.indexOf('/'))}`
}

/** Judges all images once, none of them known from before. A wrong outcome would be a wrong case: it ends the run. */
function judgeAll(policy: CompiledPolicy, images: readonly string[], outcome: Expected): () => number {
  const judge = judgeKnown(policy, images, outcome)
  return () => {
    forgetVerdicts(policy)
    return judge()
  }
}

/** The same, with verdicts that the policy remembers: what most of a cluster's requests meet. */
function judgeKnown(policy: CompiledPolicy, images: readonly string[], outcome: Expected): () => number {
  return () => {
    for (const image of images) {
      if (evaluate(policy, image, CONTEXT).outcome !== outcome) throw new Error(`${image} is not ${outcome}`)
    }
    return images.length
  }
}

/** The plain way: every pattern is a matcher, and an image is asked of one after the other. */
function loopOver(patterns: readonly string[]): (images: readonly string[], outcome: Expected) => () => number {
  // A prefix crosses segments in picomatch only as two stars; a pattern without a tag leaves it open.
  const matchers = patterns.map(pattern => picomatch(pattern.endsWith('/*') ? `${pattern}*` : `${pattern}{,:*}`))
  // The engine compiles an expression when it is used a second time: that is no cost of an image.
  for (const image of ['warm/up', 'warm/up/again', 'warm/up:1.27.3']) matchers.some(matches => matches(image))
  return (images, outcome) => {
    let next = 0
    // One image a call: ten thousand patterns take long enough.
    return () => {
      const image = images[next % images.length] ?? ''
      next += 1
      const isAllowed = matchers.some(matches => matches(image))
      if (isAllowed !== (outcome === 'allowed')) throw new Error(`${image} is not ${outcome}`)
      return 1
    }
  }
}

async function measureLoading(plan: Plan): Promise<readonly Row[]> {
  const small = policyText(generateEntries(10).map(({ pattern }) => pattern))
  const large = policyText(generateEntries(100_000).map(({ pattern }) => pattern))
  const contender = (name: string, baseline: string, work: () => unknown, sliceMs: number): Contender<number> => ({
    name,
    baseline,
    slice: () => cpuMicrosPerCall(() => (work() === undefined ? 0 : 1), sliceMs),
  })
  const parseSmall = 'yaml parse alone, 10 entries'
  const parseLarge = 'yaml parse alone, 100,000 entries'
  const cycles = plan.isQuick ? 1 : 3
  const series = await alternate(
    [
      contender(parseSmall, parseSmall, () => parse(small), 50),
      contender('load, 10 entries: text to compiled', parseSmall, () => compileText(small), 50),
      contender(parseLarge, parseLarge, () => parse(large), 1),
      contender('load, 100,000 entries: text to compiled', parseLarge, () => compileText(large), 1),
    ],
    { ...plan, cycles },
  )
  return toRows(
    series,
    cost => cost,
    costs => `${formatMicros(median(costs))} a policy`,
  )
}
