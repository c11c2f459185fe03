/**
 * A Prometheus histogram without labels. The library's makes texts of labels and bounds each time to look its
 * buckets up. This one counts in an array, and writes the same lines when they are asked for.
 */

export interface DurationHistogram {
  observe(seconds: number): void
  /** Its lines in the text format of Prometheus, with a newline behind each. */
  text(): string
}

/** @param bounds upper bounds of the buckets, ascending, in seconds. */
export function createDurationHistogram(name: string, help: string, bounds: readonly number[]): DurationHistogram {
  const counts = bounds.map(() => 0)
  let count = 0
  let sum = 0
  return {
    observe(seconds) {
      let bucket = 0
      while (bucket < bounds.length && seconds > (bounds[bucket] ?? 0)) bucket += 1
      // Beyond the last bound: counted in "+Inf" alone.
      if (bucket < bounds.length) counts[bucket] = (counts[bucket] ?? 0) + 1
      count += 1
      sum += seconds
    },
    text() {
      let below = 0
      const buckets = bounds.map((bound, bucket) => {
        below += counts[bucket] ?? 0
        return `${name}_bucket{le="${bound}"} ${below}\n`
      })
      const totals = `${name}_bucket{le="+Inf"} ${count}\n${name}_sum ${sum}\n${name}_count ${count}\n`
      return `# HELP ${name} ${help}\n# TYPE ${name} histogram\n${buckets.join('')}${totals}`
    },
  }
}
