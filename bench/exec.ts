/**
 * Group `exec`: what it costs to say what one process gives away, of ordinary command lines and of the longest ones that
 * are looked at, made to be slow. The promise: time in proportion to the text, of which 64 KiB are looked at.
 */

import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { loadToolCatalogue } from '../src/adapters/tool-catalogue-file.js'
import { decodeEvent } from '../src/correlator/exec-event.js'
import { factsOf } from '../src/correlator/tool-detection.js'
import { createExecInspector, type ExecFacts, inspectExec, type ToolCatalogue } from '../src/policy/index.js'
import { policyOf } from './generated-policy.js'
import { digits, formatMicros, type GroupReport, leastMicros, type Plan, type Row } from './measure.js'

const EXECS = new URL('../test/fixtures/tetragon/exec-1k.jsonl.gz', import.meta.url)
const LONGEST = 65_536
/** Of those that look dear after one run, so many are run again. */
const SUSPECTS = 40
const REPEATS = 12
const NEW = 'a command line that was not seen before'

const PROGRAMS = ['sh', 'python3', 'perl', 'awk', 'pwsh', 'env', 'busybox', 'find', 'git', 'tar', 'vim', 'npx', 'app']
const HEADS = ['', '-c ', '-c "', "-c '", '-e "', 'a=b ; ', '-EncodedCommand ']
/** What is repeated to the full length: openings that are never closed, what is unwrapped, what is expanded, what tells look for. */
const UNITS = [
  ...['a ', ' ', '\n', '"', "'", '\\', '`', '(', '{', '$(', '<(', '<<E\n', '<<<a ', '|', ';', '&', 'é', '💥'],
  ...[
    "$'\\x61'",
    '{a,b}',
    'a=$a$a;',
    'a=b;$a ',
    'echo a|',
    'echo YQ== | base64 -d | sh;',
    '$(echo ',
    'sh -c "',
    'x=1 ',
  ],
  ...[
    'env ',
    'xargs ',
    'timeout 1 ',
    'sudo ',
    '-exec a ; ',
    '-c alias.x=!',
    '--checkpoint-action=exec=',
    '-o ProxyCommand=',
  ],
  ...['exec("', 'system("a");', '["a","b",', 'qx(', '"a" | getline;', "os.system('"],
  ...['-sS ', '-Pn ', '--rate 1 -p 1 ', '1.1.1.1 ', 'stratum', 'nc -e ', 'http://', '../', '-----'],
]

interface Cost {
  readonly name: string
  readonly unit: string
  readonly factsOf: (length: number) => ExecFacts
  readonly micros: number
}

export async function measureExec(plan: Plan): Promise<GroupReport> {
  const { runtime } = policyOf([])
  const catalogue = await loadToolCatalogue({ ...runtime, profile: 'strict' })
  plan.progress('recorded command lines')
  const recorded = recordedFacts()
  const fresh = leastMicros(() => passOver(recorded, createExecInspector(catalogue)), REPEATS) / recorded.length
  const inspector = createExecInspector(catalogue)
  const known = leastMicros(() => passOver(recorded, inspector), REPEATS) / recorded.length
  plan.progress('long ones, made to be slow')
  const long = factsWith('/app/server', 'word '.repeat(LONGEST / 5))
  const costs = measureSlow(catalogue)
  const [worst] = costs
  if (worst === undefined) throw new Error('nothing was measured')
  const quarter = leastMicros(() => inspectExec(catalogue, worst.factsOf(LONGEST / 4)), REPEATS)
  const row = (name: string, micros: number): Row => {
    const ratio = micros / fresh
    return { name, figure: formatMicros(micros), ratio: { median: ratio, min: ratio, max: ratio }, baseline: NEW }
  }
  return {
    rows: [
      row(NEW, fresh),
      row('one that was seen before', known),
      row(
        'one of 64 KiB, of a program that runs nothing else',
        leastMicros(() => inspectExec(catalogue, long), REPEATS),
      ),
      row(`${PROGRAMS.length * HEADS.length * UNITS.length} of 64 KiB made to be slow: dearest`, worst.micros),
      row('the same one, a quarter as long', quarter),
    ],
    notes: [
      `the dearest was ${worst.name} with ${JSON.stringify(worst.unit)} again and again`,
      `four times the text took ${digits(worst.micros / quarter)} times as long`,
      'the recorded command lines are the 1,000 of the fixture; figures are the least of several runs, with the strict profile',
    ],
  }
}

/** The dearest first. */
function measureSlow(catalogue: ToolCatalogue): readonly Cost[] {
  const measured = (cost: Omit<Cost, 'micros'>, repeats: number): Cost => {
    const facts = cost.factsOf(LONGEST)
    return { ...cost, micros: leastMicros(() => inspectExec(catalogue, facts), repeats) }
  }
  const all = PROGRAMS.flatMap(program =>
    HEADS.flatMap(head =>
      UNITS.map(unit => {
        const facts = (length: number) =>
          factsWith(`/usr/bin/${program}`, `${head}${unit.repeat(length / unit.length + 1)}`.slice(0, length))
        return measured({ name: `${program} ${head}`.trim(), unit, factsOf: facts }, 1)
      }),
    ),
  )
  const suspects = all.toSorted((one, other) => other.micros - one.micros).slice(0, SUSPECTS)
  return suspects.map(cost => measured(cost, REPEATS)).toSorted((one, other) => other.micros - one.micros)
}

function passOver(all: readonly ExecFacts[], inspect: (facts: ExecFacts) => unknown): void {
  for (const facts of all) inspect(facts)
}

function recordedFacts(): readonly ExecFacts[] {
  const lines = gunzipSync(readFileSync(EXECS)).toString('utf8').trimEnd().split('\n')
  return lines.flatMap(line => {
    const decoded = decodeEvent(line)
    return decoded.type === 'exec' ? [factsOf(decoded.event)] : []
  })
}

function factsWith(binary: string, args: string): ExecFacts {
  const unknown = { parentBinary: undefined, hardLinks: undefined, isInInitTree: undefined, image: undefined }
  return { binary, arguments: args, isExecProbe: false, ...unknown }
}
