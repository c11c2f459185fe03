import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import t from 'tap'

/** The dependency rules of docs/architecture.md, held against the imports as they are written. */

interface SourceFile {
  readonly path: string
  readonly folder: string
  readonly text: string
  /** Specifiers of every static and dynamic import and re-export; relative ones as paths below src. */
  readonly imports: readonly string[]
}

const SCANNER = 'scanner/'

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^'"\n]*?(?:\{[^}]*\}[^'"\n]*?)?from\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|(?:^|\n)import\s*['"]([^'"]+)['"]/g

function readSources(): readonly SourceFile[] {
  return (
    readdirSync('src', { recursive: true, encoding: 'utf8' })
      // AssemblyScript has rules of its own, below.
      .filter(path => path.endsWith('.ts') && !path.startsWith(SCANNER))
      .map(path => {
        const text = readFileSync(join('src', path), 'utf8')
        const specifiers = [...text.matchAll(IMPORT)].flatMap(match => match[1] ?? match[2] ?? match[3] ?? [])
        const imports = specifiers.map(specifier =>
          specifier.startsWith('.') ? relative('.', join(dirname(path), specifier)).replace(/\.js$/, '.ts') : specifier,
        )
        return { path, folder: path.includes('/') ? (path.split('/')[0] ?? '') : '', text, imports }
      })
  )
}

const sources = readSources()
const folderOf = (specifier: string) => (specifier.includes('/') ? specifier.split('/')[0] : '')
const isOurs = (specifier: string) => specifier.endsWith('.ts')

t.test('the sources are read at all', async t => {
  t.ok(sources.length > 40)
  const cli = sources.find(({ path }) => path === 'cli.ts')
  t.ok(cli?.imports.includes('commands/webhook.ts'), 'a dynamic import')
  t.ok(cli?.imports.includes('errors.ts'), 'a static one')
  t.ok(sources.find(({ path }) => path === 'policy/index.ts')?.imports.includes('policy/evaluate.ts'), 'a re-export')
})

t.test('policy/ is pure: it imports itself, the errors, the schema library and picomatch', async t => {
  for (const { path, imports } of sources.filter(({ folder }) => folder === 'policy')) {
    for (const specifier of imports) {
      const isAllowed = specifier.startsWith('policy/') || ['errors.ts', 'zod', 'picomatch'].includes(specifier)
      t.ok(isAllowed, `${path} imports ${specifier}`)
    }
  }
})

t.test('policy/ reads no clock, no environment and no randomness', async t => {
  for (const { path, text } of sources.filter(({ folder }) => folder === 'policy')) {
    t.notMatch(text, /\bDate\.now\b|\bnew Date\(\)|\bprocess\.|\bMath\.random\b|\bglobalThis\b|\bsetTimeout\b/, path)
  }
})

t.test('the gates know the policy and never each other; neither knows an adapter', async t => {
  const allowed = { webhook: ['webhook', 'policy', ''], correlator: ['correlator', 'policy', ''] }
  for (const { path, folder, imports } of sources) {
    if (folder !== 'webhook' && folder !== 'correlator') continue
    for (const specifier of imports.filter(isOurs)) {
      t.ok(allowed[folder].includes(folderOf(specifier) ?? ''), `${path} imports ${specifier}`)
    }
  }
})

t.test('only commands import adapters, and only cli.ts imports commands', async t => {
  for (const { path, folder, imports } of sources) {
    for (const specifier of imports.filter(isOurs)) {
      if (folderOf(specifier) === 'adapters')
        t.ok(folder === 'commands' || folder === 'adapters', `${path} imports ${specifier}`)
      if (folderOf(specifier) === 'commands')
        t.ok(folder === 'commands' || path === 'cli.ts', `${path} imports ${specifier}`)
    }
  }
})

t.test('the scanner knows itself, and the records that it shares with its reader', async t => {
  const files = readdirSync(join('src', SCANNER)).filter(name => name.endsWith('.ts'))
  t.ok(files.length > 5)
  for (const name of files) {
    const text = readFileSync(join('src', SCANNER, name), 'utf8')
    t.match(text, /^\/\*\*/, `${name} says what it is for`)
    t.ok(text.split('\n').length <= 250, name)
    for (const [, specifier = ''] of text.matchAll(/from '([^']+)'/g)) {
      const isKnown = files.includes(`${specifier.replace('./', '')}.ts`) || specifier === '../correlator/scan-records'
      t.ok(isKnown, `${name} imports ${specifier}`)
    }
  }
})

t.test('each package has one owner', async t => {
  const owners: Readonly<Record<string, (path: string) => boolean>> = {
    '@grpc/grpc-js': path => path === 'adapters/tetragon-grpc.ts',
    '@grpc/proto-loader': path => path === 'adapters/tetragon-proto.ts',
    '@kubernetes/client-node': path => path.startsWith('adapters/kubernetes-'),
    fastify: path => path.startsWith('webhook/'),
    '@fastify/under-pressure': path => path === 'webhook/server.ts',
    'prom-client': path => path.startsWith('adapters/metrics'),
    'node-forge': path => path === 'adapters/certificates.ts',
    pino: path => path === 'logger.ts',
    yaml: path => path === 'adapters/yaml.ts' || path === 'adapters/yaml-places.ts',
    libsql: path => path === 'adapters/sqlite-file.ts',
    picomatch: path => path === 'policy/glob.ts',
    zod: path => path.startsWith('policy/') || path === 'correlator/finding-schema.ts',
    commander: path => path.startsWith('commands/') || path === 'cli.ts',
    picocolors: path => path.startsWith('commands/'),
  }
  const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
  t.same(Object.keys(owners).sort(), Object.keys(manifest.dependencies).sort(), 'every dependency, and no other')
  for (const { path, imports } of sources) {
    for (const specifier of imports.filter(name => !isOurs(name) && !name.startsWith('node:'))) {
      const isOwner = owners[specifier]
      t.ok(isOwner?.(path), `${path} imports ${specifier}`)
    }
  }
})

t.test('properties reach fast-check by one door, which knows the seed', async t => {
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.ts'))
  const texts = files.map(path => ({ path, text: readFileSync(join('test', path), 'utf8') }))
  const importing = texts.filter(({ text }) => /^import\b.* from 'fast-check'/m.test(text)).map(({ path }) => path)
  t.same(importing, ['support/properties.ts'])
  for (const { path, text } of texts.filter(one => !importing.includes(one.path))) {
    t.notMatch(text, /\bfc\.(?:assert|check)\(|\bfc\.(?:sample|statistics)\((?![^\n]*\bseed\b)|\bMath\.random\(/, path)
  }
})

t.test('the environment is read in one place at most, and nothing ends the process', async t => {
  const readers = sources.filter(({ text }) => /\bprocess\.env\b/.test(text)).map(({ path }) => path)
  t.ok(readers.length <= 1, readers.join(', '))
  for (const { path, text } of sources) t.notMatch(text, /\bprocess\.exit\(/, path)
})

t.test('one file knows where the own files of the package are; the pure parts ask for none', async t => {
  const knowing = sources.filter(({ text }) => /\bimport\.meta\b/.test(text)).map(({ path }) => path)
  t.same(knowing.sort(), ['cli.ts', 'own-files.ts'], 'cli.ts asks whether it was started')
  for (const { path, folder } of sources.filter(({ imports }) => imports.includes('own-files.ts'))) {
    t.ok(['', 'adapters', 'commands'].includes(folder), path)
  }
})

t.test('there is no import cycle', async t => {
  const graph = new Map(sources.map(({ path, imports }) => [path, imports.filter(isOurs)]))
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    if (done.has(path)) return
    if (trail.includes(path)) {
      t.fail(`cycle: ${[...trail, path].join(' > ')}`)
      return
    }
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of graph.keys()) visit(path, [])
  t.equal(done.size, sources.length)
})

t.test('files keep their limits and their names', async t => {
  for (const { path, text } of sources) {
    t.ok(text.split('\n').length <= 251, `${path} has at most 250 lines`)
    t.match(path, /^(?:[a-z0-9-]+\/)*[a-z0-9-]+\.ts$/)
    t.notMatch(path, /(?:^|\/)(?:utils?|helpers?|common|types|manager)\.ts$/)
    t.match(text, /^(?:#!.*\n)?\/\*\*/, `${path} begins with a sentence of what it is`)
  }
})
