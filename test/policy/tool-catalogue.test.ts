import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { KnownError } from '../../src/errors.js'
import type { RuntimeTools } from '../../src/policy/policy-draft.js'
import { compileToolCatalogue, matchName, matchTool, type ToolCatalogue } from '../../src/policy/tool-catalogue.js'
import {
  type CatalogueTool,
  parseToolCatalogue,
  TOOL_PROFILES,
  type ToolProfile,
} from '../../src/policy/tool-catalogue-document.js'
import { basename } from '../../src/policy/tool-name.js'
import { assertProperty, fc } from '../support/properties.js'

const FILE = 'policies/offensive-tools.json'
const shipped = parseToolCatalogue({ data: readJson(`../../${FILE}`), file: FILE })
const splunk = readJson('../../policies/splunk-offensive-tools.json') as {
  readonly names: readonly string[]
  readonly described: readonly string[]
}

const quiet = compiled('quiet')
const standard = compiled('default')
const strict = compiled('strict')
const everyProfile = { quiet, default: standard, strict }

/** Names of Splunk's macro that no program bears: they are words, packages or files. */
const NO_PROGRAMS = new Set(['ldpreload', 'persistence', 'les', 'exploitdb'])
const POD_CATEGORIES = new Set(
  [
    'k8s-attack container-escape c2-client c2-implant miner tunnel-proxy rootkit fileless webshell-client',
    'privesc-enum privesc-exploit persistence-kit ad-attack credential-dumper lateral-movement network-scanner',
  ].flatMap(line => line.split(' ')),
)

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
}

function compiled(profile: ToolProfile, rest: Partial<RuntimeTools> = {}): ToolCatalogue {
  return compileToolCatalogue(shipped, { profile, add: [], remove: [], ...rest })
}

function throwsInvalid(test: Test, action: () => unknown, ...words: readonly string[]): void {
  try {
    action()
  } catch (error) {
    test.ok(error instanceof KnownError && error.code === 'POLICY_INVALID', 'is a KnownError POLICY_INVALID')
    for (const word of words) test.ok(error instanceof Error && error.message.includes(word), `names ${word}`)
    return
  }
  test.fail('throws')
}

t.test('recorded processes are recognised by the name of their binary', async t => {
  const rows = readJson('../fixtures/runtime/basename-cases.json') as readonly {
    readonly id: string
    readonly process: { readonly binary: string }
    readonly expect: { readonly tool: string; readonly confidence: string }
  }[]
  t.ok(rows.length > 10)
  for (const row of rows) {
    const match = matchTool(strict, row.process.binary)
    t.equal(match?.tool, row.expect.tool, row.id)
    // `nc` says little alone: only `-e /bin/sh` behind it makes the recorded row certain.
    t.equal(match?.confidence, row.id === 'busybox.symlink' ? 'low' : row.expect.confidence, row.id)
  }
})

t.test('a name is recognised under its path, case, extension, version and architecture', async t => {
  const rows: readonly (readonly [string, string, string, readonly string[]])[] = [
    ['nmap', 'nmap', 'nmap', []],
    ['//bin/../x//nmap', 'nmap', 'nmap', []],
    ['/tmp/.../nmap/', 'nmap', 'nmap', []],
    ['/tmp/nmap/x/..', 'nmap', 'nmap', []],
    ['/tmp/nmap/.', 'nmap', 'nmap', []],
    ['/opt/NMAP', 'nmap', 'nmap', ['lower-case']],
    ['/opt/SharpHound.exe', 'sharphound', 'sharphound.exe', ['lower-case']],
    ['/x/masscan.elf', 'masscan', 'masscan', ['extension .elf']],
    ['/x/nmap-7.94', 'nmap', 'nmap', ['version -7.94']],
    ['/x/masscan_1.3.2', 'masscan', 'masscan', ['version _1.3.2']],
    ['/x/gobuster-v3.6.0-rc1', 'gobuster', 'gobuster', ['version -v3.6.0-rc1']],
    ['/x/masscan64', 'masscan', 'masscan', ['architecture 64']],
    ['/x/nc64.exe', 'netcat', 'nc', ['extension .exe', 'architecture 64']],
    ['/x/deepce-x86_64', 'deepce', 'deepce', ['architecture -x86_64']],
    ['/x/kerbrute_linux_amd64', 'kerbrute', 'kerbrute', ['architecture _linux_amd64']],
    ['/x/peirates.linux', 'peirates', 'peirates', ['architecture .linux']],
    ['/x/rustscan-x86_64-unknown-linux-musl', 'rustscan', 'rustscan', ['architecture -x86_64-unknown-linux-musl']],
    ['/x/Chisel_1.9.1_linux_amd64', 'chisel', 'chisel', ['lower-case', 'architecture _linux_amd64', 'version _1.9.1']],
    [
      '/x/xmrig-6.21.0-linux-x64.bin',
      'xmrig',
      'xmrig',
      ['extension .bin', 'architecture -linux-x64', 'version -6.21.0'],
    ],
    ['/x/nmap (deleted)', 'nmap', 'nmap', ['deleted']],
    ['/memfd:xmrig (deleted)', 'xmrig', 'xmrig', ['deleted', 'memfd']],
    ['/tmp/xmrig \u200b', 'xmrig', 'xmrig', ['invisible characters']],
    ['/tmp/\u202enmap', 'nmap', 'nmap', ['invisible characters']],
    ['/tmp/nm\u0430p', 'nmap', 'nmap', ['look-alike letters']],
    ['/tmp/\u039d\u041cAP', 'nmap', 'nmap', ['look-alike letters', 'lower-case']],
    ['/tmp/\uff4e\uff4d\uff41\uff50', 'nmap', 'nmap', ['look-alike letters']],
    ['/tmp/nm\ufffdap\ufffd', 'nmap', 'nmap', ['look-alike letters']],
    ['/tmp/n\u200bma\u0301p', 'nmap', 'nmap', ['look-alike letters']],
    ['/x/impacket-psexec.py', 'impacket/psexec.py', 'impacket-psexec', ['extension .py']],
    ['/x/smbclient.py', 'impacket/smbclient.py', 'smbclient.py', []],
    ['/x/smbclient', 'smbclient', 'smbclient', []],
  ]
  for (const [binary, tool, matchedName, steps] of rows) {
    const match = matchTool(standard, binary)
    t.equal(match?.tool, tool, binary)
    t.equal(match?.matchedName, matchedName, binary)
    t.strictSame(match?.steps, steps, binary)
  }
})

t.test('a wildcard counts after every whole name, and with less certainty', async t => {
  const wrapped = matchTool(standard, '/usr/bin/impacket-somethingnew')
  t.match(wrapped, { tool: 'impacket-wrapper', pattern: 'impacket-*', confidence: 'medium' })
  t.match(matchTool(standard, '/x/ssh2john.py'), { tool: 'john', pattern: '*2john', confidence: 'medium' })
  t.match(matchTool(standard, '/x/cve-2024-1086'), { tool: 'cve-named-exploit', confidence: 'medium' })
  t.match(matchTool(standard, '/x/hydra'), { tool: 'hydra', isWeak: true, confidence: 'low' })
})

t.test('ordinary programs are no offensive tools', async t => {
  const innocent = [
    'bash sh dash busybox ls cat cp mv rm find grep awk sed sleep true env tar gzip curl wget git id ps su sudo date',
    'python python3 python3.12 node java ruby perl php go gcc make npm pip3 apt-get apk dpkg',
    'nginx postgres redis-server redis-cli mysqld mongod envoy haproxy httpd caddy java17 dotnet uwsgi gunicorn celery',
    'kubelet kubectl containerd containerd-shim-runc-v2 runc docker crictl helm etcd coredns kube-proxy kube-apiserver',
    'pause tini dumb-init manager controller operator agent server client app main web api worker proxy entrypoint.sh',
    'docker-entrypoint.sh grpc_health_probe pg_isready psql jcmd iptables iptables-restore conntrack aws-cni cilium',
    'ssh sshd scp rsync ip ifconfig route dig nslookup host ping traceroute ncat socat telnet tcpdump openssl base64',
    'x86_64 qemu-x86_64-static ld-linux-x86-64.so.2 h264 node-18 libfoo-1.2.so go1.22 base32 x64 64 1.2.3 - . a',
    'tetragon tetra cilium-dbg fluentd prometheus grafana node_exporter vault consul nomad argocd flux velero trident',
    'stratus edge scout tsh tailscaled cloudflared sniper legion responder villain platypus reptile donut photon.py',
    'les ldpreload persistence exploitdb exploit persist hans blitz lin-agent mqtt_check ticketer smbserver',
  ].flatMap(line => line.split(' '))
  for (const name of innocent) t.equal(matchTool(standard, `/usr/bin/${name}`)?.tool, undefined, name)
  for (const path of [
    '',
    '/',
    '//',
    '/.',
    '/..',
    '/tmp/nmap/../sleep',
    '/nmap/ls',
    '/opt/nmap-data/run',
    '/proc/self/fd/3',
  ]) {
    t.equal(matchTool(strict, path)?.tool, undefined, path)
  }
})

t.test('each shipped tool stands in the profile that the rule of policies/README.md gives it', async t => {
  const macro = new Set(splunk.names.filter(name => !NO_PROGRAMS.has(name)))
  const isSeeded = (name: string) =>
    macro.has(name) || splunk.described.includes(name) || (macro.has('impacket-') && name.startsWith('impacket-'))
  const profileOf = (tool: CatalogueTool): ToolProfile => {
    const isOffensive = !tool.dualUse
    const isListed = tool.listedBy.length > 0
    const hasStrong = tool.patterns.some(name => !tool.weak.includes(name))
    const hasActive = tool.patterns.some(name => !tool.weak.includes(name) || macro.has(name))
    if (isOffensive && isListed && hasStrong) return 'quiet'
    const isWanted = tool.patterns.some(isSeeded) || (isOffensive && (isListed || POD_CATEGORIES.has(tool.category)))
    return hasActive && isWanted ? 'default' : 'strict'
  }
  for (const tool of shipped.tools) {
    if (tool.profile !== profileOf(tool)) t.fail(`${tool.name} is ${tool.profile}, not ${profileOf(tool)}`)
    const strictOnly = tool.profile === 'strict' ? [] : tool.weak.filter(name => !macro.has(name))
    t.same(tool.strictOnly, strictOnly, tool.name)
  }
  const sizes = TOOL_PROFILES.map(profile => everyProfile[profile].exact.size + everyProfile[profile].globs.length)
  t.strictSame(
    sizes,
    sizes.toSorted((left, right) => left - right),
    'each profile holds the one before',
  )
  const readme = readFileSync(new URL('../../policies/README.md', import.meta.url), 'utf8')
  for (const [index, profile] of TOOL_PROFILES.entries()) {
    const held = shipped.tools.filter(tool => TOOL_PROFILES.indexOf(tool.profile) <= index).length
    t.ok(readme.includes(`**\`${profile}\`** (${held} tools`), `README.md counts ${profile}`)
  }
  const isDefault = (tool: CatalogueTool) => tool.profile !== 'strict'
  t.ok(shipped.tools.filter(isDefault).length < 0.6 * shipped.tools.length, 'the default is smaller than the whole')
})

t.test('every tool that the seed detection names is found by the default profile', async t => {
  for (const name of [...splunk.names, 'impacket-secretsdump', 'kube-hunter', 'peirates', 'SharpHound']) {
    if (NO_PROGRAMS.has(name)) {
      t.equal(matchTool(standard, `/usr/bin/${name}`), undefined, `${name} is no program`)
      continue
    }
    t.ok(matchTool(standard, `/usr/bin/${name}`), name)
  }
})

t.test('a weak name counts where the profile says so, and says that it is weak', async t => {
  t.equal(matchTool(quiet, '/x/john'), undefined)
  t.match(matchTool(standard, '/x/john'), { tool: 'john', isWeak: true, confidence: 'low' })
  t.equal(matchTool(standard, '/x/sliver'), undefined)
  t.match(matchTool(strict, '/x/sliver'), { tool: 'sliver', isWeak: true, confidence: 'low' })
  t.match(matchTool(quiet, '/x/sliver-server'), { tool: 'sliver', isWeak: false, confidence: 'high' })
  t.equal(matchTool(standard, '/usr/bin/tcpdump'), undefined)
  t.match(matchTool(strict, '/usr/bin/tcpdump'), { tool: 'tcpdump', dualUse: true, confidence: 'medium' })
})

t.test('the policy adds tools to the catalogue, removes some and replaces others', async t => {
  const corp = { name: 'corp-scan', patterns: ['CorpScan*'], category: 'network-scanner' }
  const own = { name: 'nmap', patterns: ['nmap', 'nmapfe'], category: 'own', attack: ['T1046'] }
  const catalogue = compiled('quiet', { add: [corp, own], remove: ['masscan', 'nmap', 'tcpdump'] })
  t.match(matchTool(catalogue, '/x/corpscanner'), { tool: 'corp-scan', attack: [], pattern: 'corpscan*' })
  t.equal(matchTool(catalogue, '/x/masscan'), undefined)
  t.match(matchTool(catalogue, '/x/NMAPfe'), { tool: 'nmap', category: 'own', attack: ['T1046'], confidence: 'high' })
  const taking = { name: 'mine', patterns: ['zmap'], category: 'own' }
  t.equal(matchTool(compiled('quiet', { add: [taking] }), '/x/zmap')?.tool, 'mine')

  throwsInvalid(t, () => compiled('quiet', { remove: ['tcpdmp'] }), 'remove', '"tcpdmp"', '"tcpdump"')
  throwsInvalid(t, () => compiled('quiet', { add: [{ ...corp, name: 'nmap' }] }), 'add', '"nmap"')
  throwsInvalid(t, () => compiled('quiet', { add: [corp, corp] }), 'corp-scan')
  const at = (line: number) => ({ file: 'p.yaml', line, column: 7 })
  const origins = { add: [at(1), at(2)], remove: [at(3), at(4)] }
  throwsInvalid(t, () => compiled('quiet', { remove: ['nmap', 'x-y-z'], origins }), 'p.yaml:4:7: ', '"x-y-z"')
  throwsInvalid(t, () => compiled('quiet', { add: [corp, { ...corp, name: 'nmap' }], origins }), 'p.yaml:2:7: ')
  for (const pattern of ['*', 'ab*', 'a*b*c*', 'bin/x', 'x y', 'na?me', '[abc]', 'caf\u00e9']) {
    throwsInvalid(t, () => compiled('quiet', { add: [{ ...corp, patterns: [pattern] }] }), 'corp-scan', pattern)
  }
})

t.test('a broken catalogue is refused with the file, the tool and the field', async t => {
  const good = {
    name: 'x',
    profile: 'quiet',
    category: 'c',
    attack: [],
    dualUse: false,
    listedBy: [],
    patterns: ['xyz'],
  }
  const file = (...tools: readonly unknown[]) => ({ version: 1, description: '', tools })
  t.equal(parseToolCatalogue({ data: file(good), file: 'a.json' }).tools.length, 1)
  const rows: readonly (readonly [unknown, ...(readonly string[])])[] = [
    [null],
    [[]],
    [{ ...file(good), version: 2 }, 'version'],
    [{ ...file(good), extra: 1 }, 'extra'],
    [file({ ...good, colour: 1 }), 'tools[0] (x)', 'colour'],
    [file({ ...good, profile: 'loud' }), 'tools[0] (x).profile'],
    [file({ ...good, attack: ['T1'] }), 'tools[0] (x).attack[0]'],
    [file({ ...good, patterns: [] }), 'tools[0] (x).patterns'],
    [file({ ...good, patterns: ['XYZ'] }), 'x', '"XYZ"'],
    [file({ ...good, patterns: ['a*b*c*d'] }), 'x', 'stars'],
    [file({ ...good, patterns: ['xyz', 'xyz'] }), 'x', 'xyz'],
    [file(good, good), 'x', 'twice'],
    [file(good, { ...good, name: 'y' }), 'y', 'x'],
    [file({ ...good, weak: ['abc'] }), 'x', 'weak', 'abc'],
    [file({ ...good, strictOnly: ['xyz'] }), 'x', 'strictOnly', 'xyz'],
  ]
  for (const [data, ...words] of rows)
    throwsInvalid(t, () => parseToolCatalogue({ data, file: 'a.json' }), 'a.json', ...words)
})

t.test('no binary makes the matcher throw, and case and directory change nothing', async t => {
  const piece = fc.constantFrom(
    ...[
      'nmap',
      'kerbrute',
      'pspy',
      'cve-20',
      '2john',
      '-',
      '_',
      '.',
      '7',
      '.94',
      'linux',
      'amd64',
      '64',
      'x86',
      '.py',
      '.exe',
    ],
    ...['*', '/', '..', ' ', ' (deleted)', 'memfd:', '\u202e', '\u0000', '\ud83d', '\u0130', 'K', '\n'],
  )
  const name = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map(pieces => pieces.join('')),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.constantFrom(...shipped.tools.flatMap(tool => tool.patterns)),
  )
  t.doesNotThrow(() => assertProperty(fc.property(name, binary => matchTool(strict, binary) !== null)))
  // The kernel writes its own marks, ` (deleted)` and `memfd:`, in lower case only.
  const ascii = name
    .map(text => text.replace(/[^\x20-\x2e\x30-\x7e]/g, ''))
    .filter(text => !/^\.{0,2}$|deleted|memfd/i.test(text))
  assertProperty(
    fc.property(ascii, fc.constantFrom('/', '/tmp/./', '//x/../y/', '/nmap/'), (text, directory) => {
      const expected = matchName(strict, text)
      const upper = matchTool(strict, `${directory}${text.toUpperCase()}`)
      const lower = matchTool(strict, `${directory}${text.toLowerCase()}`)
      return upper?.tool === expected?.tool && lower?.matchedName === expected?.matchedName
    }),
  )
})

t.test('a name is bounded: 255 characters and four suffixes', async t => {
  t.equal(matchTool(strict, `/x/cve-20${'a'.repeat(249)}`)?.tool, 'cve-named-exploit')
  t.equal(matchTool(strict, `/x/cve-20${'a'.repeat(250)}`)?.tool, undefined)
  t.equal(matchTool(strict, `/${'d/'.repeat(100_000)}nmap`)?.tool, 'nmap')
  t.equal(matchTool(strict, '/x/masscan.sh.sh.sh.sh')?.tool, 'masscan')
  t.equal(matchTool(strict, '/x/masscan.sh.sh.sh.sh.sh')?.tool, undefined)
})

t.test('more programs than the memo holds get the same answers', async t => {
  for (let index = 0; index < 10_000; index += 1) matchTool(standard, `/x/${index}`)
  t.ok(standard.memo.size <= 4_096)
  t.equal(matchTool(standard, '/x/1'), undefined)
  t.equal(matchTool(standard, '/x/nmap')?.tool, 'nmap')
  t.equal(matchTool(standard, '/x/nmap'), matchTool(standard, '/x/nmap'), 'remembered')
})

t.test('the last name of a path is found as the kernel would', async t => {
  const rows: readonly (readonly [string, string])[] = [
    ['/a/b', 'b'],
    ['b', 'b'],
    ['/a/b/', 'b'],
    ['/a/b/../c', 'c'],
    ['/a/b/..', 'a'],
    ['/a/b/../..', ''],
    ['../..', ''],
    ['', ''],
  ]
  for (const [path, expected] of rows) t.equal(basename(path), expected, path)
})
