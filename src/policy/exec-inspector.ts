/**
 * What processes give away, remembered: nearly every process runs what another one ran before, and nearly all of those
 * say nothing.
 *
 * `inspectExec` is a pure function, so that nothing can be seen of this memory but the time: the same facts get the same
 * answer, by the very same object as long as it is remembered.
 */

import { CommandMemory } from './command-memory.js'
import { createHarmlessTest } from './plain-program.js'
import type { ToolCatalogue } from './tool-catalogue.js'
import { analyseExec, type ExecAnalysis, judgeExec } from './tool-inspection.js'
import type { ExecFacts, ExecSighting } from './tool-sighting.js'

/** Command lines that say nothing, and those that say something, with all that they run. */
const MAX_HARMLESS = 8_192
const MAX_TELLING = 1_024
/** In characters. Of those that say nothing only the text is kept; what the others run takes fifty times as much. */
const LONGEST_HARMLESS = 131_072
const LONGEST_TELLING = 8_192
/** Circumstances of one command line of which the answer is kept: probes, parents, images. */
const MAX_CASES = 8
/** Facts with longer names are judged anew each time. */
const MAX_FACTS_LENGTH = 1_024

export type ExecInspector = (facts: ExecFacts) => readonly ExecSighting[]

interface TellingCommand {
  readonly analysis: ExecAnalysis
  readonly cases: { readonly facts: ExecFacts; readonly sightings: readonly ExecSighting[] }[]
}

const NOTHING: readonly ExecSighting[] = []

/** An `inspectExec` with a memory of its own, which is bounded. */
export function createExecInspector(catalogue: ToolCatalogue): ExecInspector {
  const harmless = new CommandMemory<true>(MAX_HARMLESS, LONGEST_HARMLESS)
  const telling = new CommandMemory<TellingCommand>(MAX_TELLING, LONGEST_TELLING)
  const isHarmless = createHarmlessTest(catalogue)
  const inspectOther = (facts: ExecFacts, args: string): readonly ExecSighting[] => {
    const known = telling.recall(facts.binary, args)
    if (known !== undefined) return judgeKnown(catalogue, known, facts)
    const analysis = isHarmless(facts.binary, args) ? undefined : analyseExec(catalogue, facts.binary, args)
    if (analysis === undefined) harmless.remember(facts.binary, args, true)
    else telling.remember(facts.binary, args, { analysis, cases: [] })
    return judgeExec(catalogue, analysis, facts)
  }
  return facts => {
    const args = facts.arguments ?? ''
    // A file that is gone tells something of any command line.
    return facts.hardLinks !== 0 && harmless.recall(facts.binary, args) === true ? NOTHING : inspectOther(facts, args)
  }
}

function judgeKnown(
  catalogue: ToolCatalogue,
  { analysis, cases }: TellingCommand,
  facts: ExecFacts,
): readonly ExecSighting[] {
  for (const known of cases) if (isSameCase(analysis, known.facts, facts)) return known.sightings
  const sightings = judgeExec(catalogue, analysis, facts)
  if ((facts.parentBinary?.length ?? 0) + (facts.image?.length ?? 0) > MAX_FACTS_LENGTH) return sightings
  if (cases.length >= MAX_CASES) cases.shift()
  cases.push({ facts, sightings })
  return sightings
}

/** Of the same command line: whether all that plays a part in the judgement is the same. */
function isSameCase({ isAboutImage }: ExecAnalysis, one: ExecFacts, other: ExecFacts): boolean {
  return (
    one.parentBinary === other.parentBinary &&
    one.hardLinks === other.hardLinks &&
    one.isExecProbe === other.isExecProbe &&
    one.isInInitTree === other.isInInitTree &&
    (!isAboutImage || one.image === other.image)
  )
}
