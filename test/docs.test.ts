import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { KNOWN_ERROR_CODES } from '../src/errors.js'
import { policyJsonSchema } from '../src/policy/index.js'
import { HTTP_ERRORS } from '../src/webhook/http-errors.js'

/** Pages and code are held in step, both ways. */

const page = (name: string) => readFileSync(name, 'utf8')
/** The first cell of each table row that is a code: `| \`CODE\` | …`. */
const codesOf = (text: string) => [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(match => match[1] ?? '')

t.test('docs/errors.md lists every error code and every HTTP error with its status, and no other', async t => {
  const [cli = '', http = ''] = page('docs/errors.md').split('## Over HTTP')
  t.strictSame(codesOf(cli).sort(), [...KNOWN_ERROR_CODES].sort())
  t.strictSame(codesOf(http).sort(), Object.keys(HTTP_ERRORS).sort())
  for (const { code, status } of Object.values(HTTP_ERRORS)) t.match(http, `| \`${code}\` | ${status} |`)
})

t.test('docs/policy.md names every key of spec and every reason', async t => {
  const text = page('docs/policy.md')
  const schema = JSON.parse(JSON.stringify(policyJsonSchema()))
  for (const key of Object.keys(schema.properties.spec.properties)) t.match(text, new RegExp(`\\| \`${key}[.\`]`), key)
  const reasons =
    page('src/policy/verdict.ts')
      .match(/^ {2}\| '[a-z-]+'/gm)
      ?.map(line => line.slice(5, -1)) ?? []
  t.ok(reasons.length >= 9)
  const [, order = ''] = text.split('## Order')
  t.strictSame(codesOf(order.split('## Namespaces')[0] ?? '').sort(), reasons.sort())
})

t.test('every relative link of a page leads somewhere', async t => {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'charts/sallyport/README.md',
    ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.md'))
      .map(name => `docs/${name}`),
  ]
  t.ok(pages.length > 8)
  for (const name of pages) {
    for (const [, target = ''] of page(name).matchAll(/\]\(([^)#]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      t.doesNotThrow(() => readdirOrFile(new URL(target, `file://${process.cwd()}/${name}`)), `${name} → ${target}`)
    }
  }
})

function readdirOrFile(url: URL): void {
  try {
    readFileSync(url)
  } catch {
    readdirSync(url)
  }
}
