/**
 * Paired measuring: all contenders take short slices in turn, and a ratio is formed inside each turn.
 *
 * Absolute figures drift by a third from one minute to the next on a shared machine; two slices that stand a moment
 * apart drift together. So a ratio is the median of the cycles' own ratios, with the smallest and the largest beside it.
 */

/** How much is measured. */
export interface Plan {
  readonly isQuick: boolean
  /** How often all contenders take their turn. */
  readonly cycles: number
  /** Told what is being done, for a person who waits. */
  readonly progress: (words: string) => void
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** One line of the table. */
export interface Row {
  readonly name: string
  /** With its unit. */
  readonly figure: string
  /** Cost of this case over the cost of the baseline: above 1 is dearer. */
  readonly ratio: Spread
  /** What the ratio is against. */
  readonly baseline: string
}

export interface GroupReport {
  readonly rows: readonly Row[]
  /** Sentences below the table: which input it was, and what to know about it. */
  readonly notes: readonly string[]
}

export type Group = (plan: Plan) => Promise<GroupReport>

/** Something that can be measured for a moment. */
export interface Contender<Measured> {
  readonly name: string
  /** Names the contender that it is compared with; its own name for a baseline. */
  readonly baseline: string
  slice(): Measured | Promise<Measured>
}

export interface Series<Measured> {
  readonly contender: Contender<Measured>
  /** One a cycle, in their order. */
  readonly slices: readonly Measured[]
}

/** Let every contender take a slice, again and again; the first cycle warms up and does not count. */
export async function alternate<Measured>(
  contenders: readonly Contender<Measured>[],
  plan: Plan,
): Promise<readonly Series<Measured>[]> {
  const series = contenders.map(contender => ({ contender, slices: [] as Measured[] }))
  for (let cycle = 0; cycle <= plan.cycles; cycle += 1) {
    plan.progress(cycle === 0 ? 'warming up' : `cycle ${cycle} of ${plan.cycles}`)
    for (const { contender, slices } of series) {
      const measured = await contender.slice()
      if (cycle > 0) slices.push(measured)
    }
  }
  return series
}

/** A row for each contender: its figure, and its ratio to its baseline, cycle by cycle. */
export function toRows<Measured>(
  series: readonly Series<Measured>[],
  costOf: (measured: Measured) => number,
  figureOf: (slices: readonly Measured[]) => string,
): readonly Row[] {
  const costs = new Map(series.map(({ contender, slices }) => [contender.name, slices.map(costOf)]))
  return series.map(({ contender, slices }) => {
    const against = costs.get(contender.baseline)
    if (against === undefined) throw new Error(`no contender is called ${contender.baseline}`)
    const ratios = slices.map((measured, cycle) => costOf(measured) / (against[cycle] ?? Number.NaN))
    return { name: contender.name, figure: figureOf(slices), ratio: spreadOf(ratios), baseline: contender.baseline }
  })
}

/**
 * CPU time of this process for one call, in microseconds, from repeating `work` for a while.
 *
 * CPU time and not the clock, because other programs may take the core away; the collector's and the compiler's
 * threads are in it.
 *
 * @param work returns how many calls it made; enough of them to take 0.1 ms or more.
 */
export function cpuMicrosPerCall(work: () => number, sliceMs: number): number {
  const end = performance.now() + sliceMs
  const start = process.cpuUsage()
  let calls = 0
  do calls += work()
  while (performance.now() < end)
  return totalMicros(process.cpuUsage(start)) / calls
}

/**
 * Microseconds by the clock of one call, the least of several: for what is too short to be measured otherwise.
 *
 * @param before each call, and not measured.
 */
export function leastMicros(work: () => unknown, repeats: number, before: () => void = () => {}): number {
  let least = Number.POSITIVE_INFINITY
  for (let run = 0; run < repeats; run += 1) {
    before()
    const start = process.hrtime.bigint()
    work()
    least = Math.min(least, Number(process.hrtime.bigint() - start) / 1_000)
  }
  return least
}

export function totalMicros({ user, system }: NodeJS.CpuUsage): number {
  return user + system
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The value below or at which `share` (0 to 1) of the values lie; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  if (share === 0.5 && sorted.length % 2 === 0) {
    return ((sorted[sorted.length / 2 - 1] ?? Number.NaN) + (sorted[sorted.length / 2] ?? Number.NaN)) / 2
  }
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** 0.000123 ms and 4,567 ms in the unit that reads best. */
export function formatMicros(micros: number): string {
  if (micros >= 1e6) return `${digits(micros / 1e6)} s`
  if (micros >= 1e3) return `${digits(micros / 1e3)} ms`
  return `${digits(micros)} µs`
}

/** Three significant digits, with separators between thousands. */
export function digits(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  return value >= 10 ? value.toFixed(1) : value.toFixed(value >= 0.1 ? 2 : 4)
}
