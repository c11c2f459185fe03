/** The table of the chart's values: each key with its default and the comment above it in values.yaml. */

import type { Node, Pair, Scalar, YAMLMap } from 'yaml'
import { isMap, isScalar, parseDocument } from 'yaml'

export const VALUES_FILE = 'charts/sallyport/values.yaml'
export const CHART_PAGE = 'charts/sallyport/README.md'
const BEGIN = '<!-- values: written by npm run chart -->'
const END = '<!-- end of values -->'
const MAX_DEFAULT = 60

export interface ChartValue {
  /** `webhook.port` */
  readonly path: string
  readonly default: unknown
  /** Empty when nobody explained it. */
  readonly meaning: string
}

/** The values that can be set, in the order of the file. A map is one value when none of its keys is explained. */
export function readValues(text: string): readonly ChartValue[] {
  const { contents } = parseDocument(text)
  return isMap(contents) ? valuesOf(contents as YAMLMap<Scalar, Node>, '') : []
}

/** The page with the table in its place. */
export function withValuesTable(page: string, values: readonly ChartValue[]): string {
  const [head = '', rest = ''] = page.split(BEGIN)
  const [, tail = ''] = rest.split(END)
  return `${head}${BEGIN}\n${tableOf(values)}${END}${tail}`
}

function valuesOf(map: YAMLMap<Scalar, Node>, prefix: string): readonly ChartValue[] {
  return map.items.flatMap((pair, index) => {
    const path = `${prefix}${pair.key.value}`
    const meaning = commentOf(map, pair, index, prefix === '')
    if (isMap(pair.value) && hasComment(pair.value)) {
      return valuesOf(pair.value as YAMLMap<Scalar, Node>, `${path}.`)
    }
    return [{ path, default: pair.value?.toJSON(), meaning }]
  })
}

function hasComment(map: unknown): boolean {
  if (!isMap(map)) return false
  const known = map as YAMLMap<Scalar, Node>
  return known.items.some(
    (pair, index) => commentOf(known, pair, index, false) !== '' || (isMap(pair.value) && hasComment(pair.value)),
  )
}

/** The parser gives the comment above a map's first key to the map. */
function commentOf(map: YAMLMap<Scalar, Node>, pair: Pair<Scalar, Node>, index: number, isTop: boolean): string {
  const own = isScalar(pair.key) ? pair.key.commentBefore : undefined
  const ofMap = index === 0 && !isTop ? map.commentBefore : undefined
  return (own ?? ofMap ?? '')
    .split('\n')
    .map(line => line.trim())
    .join(' ')
    .trim()
}

function tableOf(values: readonly ChartValue[]): string {
  const rows = values.map(({ path, meaning, ...rest }) => {
    const json = JSON.stringify(rest.default)
    const shown = json.length > MAX_DEFAULT ? 'see values.yaml' : `\`${json.replaceAll('|', '\\|')}\``
    return `| \`${path}\` | ${shown} | ${meaning.replaceAll('|', '\\|')} |\n`
  })
  return `| value | default | meaning |\n| --- | --- | --- |\n${rows.join('')}`
}
