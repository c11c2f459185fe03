import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { runCommand } from '../support/run-command.js'

const POLICY = `apiVersion: sallyport.dev/v1
kind: ImagePolicy
metadata: { name: shop }
spec:
  mode: enforce
  allow: [registry.corp.example/*, gcr.io/distroless/*]
  mirrors: [{ from: docker.io/*, to: registry.corp.example/hub }]
  namespaces:
    - { names: [lab], mode: warn }
    - { selector: { matchLabels: { env: dev } }, mode: audit }
  exceptions:
    - { id: EX-1, images: [ghcr.io/x/tool], namespaces: [team-a], expires: 2026-10-01T00:00:00Z, reason: trial, owner: a }
`
const WEB = `apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: team-a }
spec:
  template:
    spec:
      initContainers: [{ name: setup, image: gcr.io/distroles/static:1 }]
      containers: [{ name: app, image: "redis:7" }, { name: ok, image: registry.corp.example/app:1 }]
`
const POD =
  'apiVersion: v1\nkind: Pod\nmetadata: { generateName: job- }\nspec: { containers: [{ name: c, image: nginx }] }\n'
const OTHER = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: c }\n'
const DIGEST = `@sha256:${'a'.repeat(64)}`

const folder = t.testdir({
  'policy.yaml': POLICY,
  'web.yaml': WEB,
  'pod.yaml': POD,
  'other.yaml': OTHER,
  'all.yaml': `${WEB}---\n${OTHER}---\n# nothing\n---\n${POD}`,
  'list.json': JSON.stringify({
    kind: 'List',
    items: [
      {
        kind: 'PodList',
        items: [
          {
            kind: 'Pod',
            metadata: { name: 'p' },
            spec: { containers: [{ name: 'c', image: 'gcr.io/distroless/static' }] },
          },
        ],
      },
    ],
  }),
  'empty.yaml': '',
  'bad.yaml': 'a: [1\nb: 2\n',
  'kindless.yaml': 'a: 1\n',
  'binary.yaml': Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 0xff]),
  'latin1.yaml': Buffer.from([0x61, 0xe9, 0x62]),
  'broken-pod.yaml': 'kind: Pod\nmetadata: { name: b }\nspec: { containers: 3 }\n',
  'laughs.yaml': `a: &a [${'x,'.repeat(50)}]\n${Array.from({ length: 2000 }, (_, index) => `k${index}: *a`).join('\n')}\nkind: Pod\n`,
  hidden: { '..data': {}, 'notes.txt': 'x' },
  manifests: { 'a.yaml': WEB, 'b.yml': POD, 'c.txt': 'not read' },
})
const path = (name: string) => join(folder, name)
const policy = ['--policy', path('policy.yaml')]
const check = (...argv: string[]) => runCommand(['check', ...policy, ...argv])
const explain = (...argv: string[]) => runCommand(['explain', ...policy, ...argv])

t.test('check judges as the webhook would, and its JSON has the promised shape', async t => {
  const { stdout, exitCode } = await check('-f', path('web.yaml'), '-o', 'json')
  t.equal(exitCode, 1)
  const result = JSON.parse(stdout)
  t.match(result, {
    allowed: false,
    objects: [
      {
        file: path('web.yaml'),
        kind: 'Deployment',
        namespace: 'team-a',
        name: 'web',
        allowed: false,
        mode: 'enforce',
        warnings: [],
      },
    ],
  })
  const [object] = result.objects
  t.match(object.message, /^2 of 3 images in Deployment team-a\/web are not allowed \(policy shop, rev [0-9a-f]{7}\)\n/)
  t.strictSame(Object.keys(object), [
    'file',
    'kind',
    'namespace',
    'name',
    'allowed',
    'mode',
    'message',
    'warnings',
    'images',
  ])
  const image = object.images.find((judged: { container: string }) => judged.container === 'app')
  t.strictSame(image, {
    written: 'redis:7',
    reference: { registry: 'docker.io', repository: 'library/redis', tag: '7', digest: null },
    outcome: 'denied',
    reason: 'not-allowed',
    entry: null,
    namespace: 'team-a',
    mode: 'enforce',
    policy: 'shop',
    revision: image.revision,
    closest: null,
    suggestion: 'registry.corp.example/hub/library/redis:7',
    container: 'app',
    field: 'spec.template.spec.containers[0].image',
  })
})

t.test('check reads files, directories, Lists and standard input, and skips other kinds', async t => {
  const names = async (...argv: string[]) => {
    const { stdout } = await check('-o', 'json', ...argv)
    return JSON.parse(stdout).objects.map((object: { name: string }) => object.name)
  }
  t.strictSame(await names('-f', path('all.yaml')), ['web', 'job-*'])
  t.strictSame(await names('-f', path('manifests')), ['web', 'job-*'])
  t.strictSame(await names('-f', path('list.json'), path('pod.yaml')), ['p', 'job-*'])
  const piped = await runCommand(['check', ...policy, '-f', '-'], { stdin: POD })
  t.match(piped, { exitCode: 1, stdout: /DENIED {2}Pod default\/job-\*/ })
  t.match(await check('-f', path('other.yaml')), { exitCode: 0, stdout: '', stderr: /skipped 1 of 1 objects/ })
})

t.test('check takes the namespace and its labels into account', async t => {
  t.match(await check('-f', path('pod.yaml'), '-n', 'lab'), {
    exitCode: 0,
    stdout: /warning: .*docker\.io\/library\/nginx/,
  })
  t.match(await check('-f', path('pod.yaml'), '--namespace-labels', 'env=dev'), { exitCode: 0, stdout: /mode audit/ })
  t.match(await check('-f', path('pod.yaml')), { exitCode: 1, stdout: /mode enforce/ })
  t.match(await check('-f', path('broken-pod.yaml')), { exitCode: 1, stdout: /containers is no list/ })
})

t.test('explain shows reading, judgement, entry and place', async t => {
  const { stdout, exitCode } = await explain('-n', 'team-a', 'gcr.io/distroless/static')
  t.equal(exitCode, 0)
  t.match(stdout, /read as +gcr\.io\/distroless\/static:latest/)
  t.match(stdout, /entry +gcr\.io\/distroless\/\* \(.*policy\.yaml:6\)/)
  t.match(await explain('gcr.io/distroles/x'), {
    exitCode: 1,
    stdout: /closest entry +gcr\.io\/distroless\/\* differs at "distroles"/,
  })
  t.match(await explain('ghcr.io/x/tool', '-n', 'team-a'), { exitCode: 0, stdout: /excepted \(exception\)/ })
  t.match(await explain('ghcr.io/x/tool', '-n', 'team-a', '--as-of', '2026-10-01'), { exitCode: 1 })
  t.match(await explain('a\u001b[31m'), { exitCode: 1, stdout: /^a\\u\{1b\}\[31m\n/ })
})

t.test('explain - prints one JSON a line for each line that it reads', async t => {
  const images = ['redis:7', '', `gcr.io/distroless/static${DIGEST}\r`, 'no image', 'a'.repeat(5000)]
  const { stdout, exitCode } = await runCommand(['explain', ...policy, '-'], { stdin: images.join('\n') })
  t.equal(exitCode, 1)
  const verdicts = stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  t.strictSame(
    verdicts.map(({ reason }) => reason),
    ['not-allowed', 'allow-entry', 'image-unreadable', 'image-unreadable'],
  )
  t.equal((await runCommand(['explain', ...policy, '-'], { stdin: '' })).exitCode, 0)
})

t.test('bad input ends with 78 and one sentence that names the file', async t => {
  mkdirSync(path('empty-folder'))
  writeFileSync(path('huge-line.yaml'), `kind: ${'x'.repeat(4_000_000)}`)
  const table: readonly (readonly [string[], RegExp])[] = [
    [['check', ...policy, '-f', path('missing.yaml')], /cannot read .*missing\.yaml: there is no such file/],
    [['check', ...policy, '-f', path('empty.yaml')], /empty\.yaml: no Kubernetes object was found/],
    [['check', ...policy, '-f', path('empty-folder')], /holds no \.yaml, \.yml or \.json file/],
    [['check', ...policy, '-f', path('bad.yaml')], /bad\.yaml:\d+:\d+: is no valid YAML/],
    [['check', ...policy, '-f', path('kindless.yaml')], /kindless\.yaml:1: is no Kubernetes object/],
    [['check', ...policy, '-f', path('binary.yaml')], /binary\.yaml: it is binary/],
    [['check', ...policy, '-f', path('latin1.yaml')], /latin1\.yaml: it is not UTF-8/],
    [['check', ...policy, '-f', path('laughs.yaml')], /laughs\.yaml: .*alias/i],
    [['check', '--policy', path('web.yaml'), '-f', path('web.yaml')], /web\.yaml:1:1: is no ImagePolicy/],
    [['explain', '--policy', path('missing.yaml'), 'x'], /cannot read .*missing\.yaml: there is no such file/],
    [['explain', '--policy', path('empty.yaml'), 'x'], /empty\.yaml:1:1: is empty/],
    [['explain', '--policy', path('hidden'), 'x'], /holds no \.yaml/],
    [['explain', '--policy', path('binary.yaml'), 'x'], /it is binary/],
  ]
  for (const [argv, expected] of table) {
    const { stdout, stderr, exitCode } = await runCommand(argv)
    t.equal(exitCode, 78, argv.slice(-2).join(' '))
    t.equal(stdout, '')
    t.match(stderr, expected)
    t.equal(stderr.trimEnd().split('\n').length, 1, 'one line')
  }
  t.match(await check('-f', path('huge-line.yaml')), { exitCode: 0, stderr: /skipped 1 of 1/ })
  const long = await runCommand(['explain', ...policy, '-'], { stdin: 'x'.repeat(4_000_000) })
  t.match(long, { exitCode: 78, stderr: /line 1 is longer than 64 KiB/ })
})
