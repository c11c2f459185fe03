/**
 * `npm run fuzz [-- FILE…]`: looks for new counterexamples. The files in which chance plays a part, or those named, each from
 * a new seed and `SALLYPORT_TEST_TIMES` times as often, 20 by default. What fails names the seed that repeats it
 * (docs/testing.md).
 */

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const TIMES = 20
const HOUR_S = 3_600

const named = process.argv.slice(2)
const files = named.length > 0 ? named : filesWithChance()
const env = { SALLYPORT_TEST_TIMES: String(TIMES), ...process.env }
const { status } = spawnSync('tap', ['--disable-coverage', `--timeout=${HOUR_S}`, ...files], { stdio: 'inherit', env })
process.exitCode = status ?? 1

function filesWithChance(): readonly string[] {
  return readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.test.ts'))
    .map(name => join('test', name))
    .filter(path => /\bassert(?:Async)?Property\(|\bTEST_SEED\b/.test(readFileSync(path, 'utf8')))
}
