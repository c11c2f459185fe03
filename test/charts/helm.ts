/** The real helm, and what the chart renders to. */

import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'

export const CHART = 'charts/sallyport'
export const RELEASE = 'sallyport'
export const NAMESPACE = 'sallyport'
/** Names the binary where it is not on the path. */
const VARIABLE = 'HELM'

export interface ChartObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into objects of twenty kinds
  readonly [key: string]: any
}

export interface HelmResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export const helmBinary = (): string => process.env[VARIABLE] || 'helm'

/** Why helm cannot be run here; undefined when it can. */
export function missingHelm(): string | undefined {
  try {
    execFileSync(helmBinary(), ['version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return `there is no helm on the path, and ${VARIABLE} names none (docs/testing.md)`
  }
}

/** @param env beside the path: KUBECONFIG, HOME. */
export function helm(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<HelmResult> {
  const home = mkdtempSync(join(tmpdir(), 'sallyport-helm-'))
  const options = { env: { PATH: process.env['PATH'], HOME: home, ...env }, maxBuffer: 64 * 1024 * 1024 }
  return new Promise(resolve => {
    execFile(helmBinary(), args, options, (error, stdout, stderr) => {
      rmSync(home, { recursive: true, force: true })
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ status, stdout, stderr })
    })
  })
}

/** The values files that every promise of the chart is held against. */
export function valuesFiles(): readonly string[] {
  return readdirSync(join(CHART, 'ci')).map(name => join(CHART, 'ci', name))
}

export interface RenderOptions {
  readonly files?: readonly string[]
  /** On top of the files. */
  readonly values?: object
  readonly kubeVersion?: string
  readonly namespace?: string
  readonly release?: string
}

export async function renderText(options: RenderOptions): Promise<HelmResult> {
  const { files = [], values = {}, kubeVersion = '1.33.0', namespace = NAMESPACE, release = RELEASE } = options
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-values-'))
  const extra = join(folder, 'values.json')
  writeFileSync(extra, JSON.stringify(values))
  const given = [...files, extra].flatMap(file => ['-f', file])
  const result = await helm(['template', release, CHART, '-n', namespace, '--kube-version', kubeVersion, ...given])
  rmSync(folder, { recursive: true })
  return result
}

/** All objects, the tests' too. @throws with what helm said when it does not render. */
export async function render(options: RenderOptions): Promise<readonly ChartObject[]> {
  const { status, stdout, stderr } = await renderText(options)
  if (status !== 0) throw new Error(`helm template ${JSON.stringify(options)}: ${stderr}`)
  return decodeObjects(stdout)
}

export function decodeObjects(text: string): readonly ChartObject[] {
  return parseAllDocuments(text)
    .map(document => document.toJS() as ChartObject | null)
    .filter(object => object !== null)
}

/** The one object of a kind, and of a component where there are several. */
export function objectOf(objects: readonly ChartObject[], kind: string, component?: string): ChartObject {
  const isMeant = (object: ChartObject) =>
    object.kind === kind &&
    (component === undefined || object.metadata.labels['app.kubernetes.io/component'] === component)
  const found = objects.filter(isMeant)
  const [only] = found
  if (only === undefined || found.length > 1) throw new Error(`${found.length} objects of kind ${kind} ${component}`)
  return only
}
