/** `npm run bench`: measures what there is to measure and prints one table. Never a test: nothing here can fail one. */

import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import type { GroupOrder } from './group-process.js'
import { digits, type GroupReport, type Row, type Spread } from './measure.js'
import { startPinned } from './pinned-process.js'

const USAGE = `usage: npm run bench -- [--only policy|hostile|exec|admission|journal|replay]... [--quick]

--only   measure this group (may be given several times); default all
--quick  fewer cycles and less input: to see that it works, not to quote from
`
const CYCLES = 11
const QUICK_CYCLES = 3

const GROUPS = ['policy', 'hostile', 'exec', 'admission', 'journal', 'replay']

interface Choice {
  readonly groups: readonly string[]
  readonly isQuick: boolean
}

const choice = readArguments(process.argv.slice(2))
if (choice === undefined) {
  process.stderr.write(USAGE)
  process.exitCode = 64
} else {
  await run(choice)
}

function readArguments(args: readonly string[]): Choice | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { only: { type: 'string', multiple: true }, quick: { type: 'boolean' } },
    })
    const groups = values.only ?? GROUPS
    return groups.every(group => GROUPS.includes(group)) ? { groups, isQuick: values.quick === true } : undefined
  } catch {
    return undefined
  }
}

async function run({ groups, isQuick }: Choice): Promise<void> {
  const loadAtStart = loadavg()
  const startedAt = new Date()
  const cycles = isQuick ? QUICK_CYCLES : CYCLES
  const reports: (GroupReport & { readonly group: string })[] = []
  for (const group of groups) reports.push({ group, ...(await measure({ group, isQuick, cycles })) })
  process.stdout.write(renderHeader(startedAt, cycles, isQuick, loadAtStart, loadavg()))
  process.stdout.write(renderTable(reports))
  for (const { group, notes } of reports) {
    for (const note of notes) process.stdout.write(`${group}: ${note}\n`)
  }
}

async function measure(order: GroupOrder): Promise<GroupReport> {
  const child = startPinned('./group-process.ts')
  try {
    // The decode edge of our own child: it answers in this form.
    return (await child.ask(order)) as GroupReport
  } finally {
    await child.stop()
  }
}

/** The machine in words that say how much the figures are worth; no names of hosts, no paths. */
function renderHeader(
  startedAt: Date,
  cycles: number,
  isQuick: boolean,
  loadAtStart: readonly number[],
  loadAtEnd: readonly number[],
): string {
  const cores = cpus()
  const minutes = ((Date.now() - startedAt.getTime()) / 60_000).toFixed(1)
  const loads = [loadAtStart, loadAtEnd].map(load => load.map(value => value.toFixed(2)).join(' '))
  return `Sallyport bench, ${startedAt.toISOString().slice(0, 16)}Z, ${minutes} minutes${isQuick ? ', --quick: do not quote' : ''}
Machine: ${cores.length} cores (${cores[0]?.model.trim() ?? 'unknown'}), ${process.platform} ${process.arch}, Node ${process.version}
It may be shared with others: load average ${loads[0]} at the start, ${loads[1]} at the end (1, 5, 15 minutes)
Runs: ${cycles} cycles in which all cases of a group take a short slice in turn, after one to warm up; a figure is the
median of its slices, a ratio the median of the cycles' own ratios (smallest to largest). Trust the ratios.

`
}

function renderTable(reports: readonly (GroupReport & { readonly group: string })[]): string {
  const head = ['group', 'case', 'figure', 'ratio', 'against']
  const lines = reports.flatMap(({ group, rows }) => rows.map(row => cellsOf(group, row)))
  const widths = head.map((title, column) => Math.max(...[head, ...lines].map(line => (line[column] ?? title).length)))
  const rule = widths.map(width => '-'.repeat(width))
  const all = [head, rule, ...lines].map(line =>
    line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '),
  )
  return `${all.map(line => line.trimEnd()).join('\n')}\n\n`
}

function cellsOf(group: string, { name, figure, ratio, baseline }: Row): readonly string[] {
  return name === baseline
    ? [group, name, figure, '1', '(baseline)']
    : [group, name, figure, formatRatio(ratio), baseline]
}

function formatRatio({ median, min, max }: Spread): string {
  return min === max ? digits(median) : `${digits(median)} (${digits(min)} to ${digits(max)})`
}
